"""The servers written in Python that people would pick instead; each as its documentation says, with its logs quiet."""

import json
import subprocess
from typing import ClassVar

from benchmarks.serving.bodies import Answer, Request, inference_binary, read_inference, read_rows, rows_json
from benchmarks.serving.cells import Encoding
from benchmarks.serving.peers.base import (
    ONNXRUNTIME,
    SERVERS,
    Launch,
    Peer,
    PeerUnavailable,
    Place,
    RowsPeer,
    infer_json,
)
from benchmarks.serving.processes import environment
from benchmarks.serving.subjects import Array, Subject


class MLServer(Peer):
    """MLServer without parallel workers, which is its fastest."""

    name = "mlserver"
    # uvloop 0.22 has no event loop before one is set: MLServer's workers crash on it.
    requirements = ("mlserver==1.7.1", "uvloop==0.21.0", ONNXRUNTIME)

    def prepare(self, place: Place) -> Launch:
        """Two files of settings."""
        http, grpc, metrics = place.ports[:3]
        settings = {"debug": False, "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics,
                    "parallel_workers": 0, "metrics_endpoint": None}  # fmt: skip
        model = {"name": "model", "implementation": "mlserver_model.OnnxModel",
                 "parameters": {"uri": str(place.subject.model)}}  # fmt: skip
        (place.folder / "settings.json").write_text(json.dumps(settings))
        (place.folder / "model-settings.json").write_text(json.dumps(model))
        return Launch((str(place.python.with_name("mlserver")), "start", str(place.folder)), place.variables())

    def request(self, subject: Subject, encoding: Encoding) -> Request:
        """Open Inference in JSON; it speaks no binary tensors over HTTP."""
        return infer_json(subject, "model")


class BentoML(RowsPeer):
    """BentoML, each request on its own."""

    name = "bentoml"
    requirements = ("bentoml==1.4.40", ONNXRUNTIME)
    path = "/predict"
    variables: ClassVar[dict[str, str]] = {}

    def prepare(self, place: Place) -> Launch:
        """A service in one worker."""
        argv = (str(place.python.with_name("bentoml")), "serve", "bentoml_service:Model", "--working-dir", str(SERVERS),
                "--host", "127.0.0.1", "--port", str(place.port))  # fmt: skip
        home = {"BENTOML_HOME": str(place.folder / "home"), "BENTOML_DO_NOT_TRACK": "true"}
        return Launch(argv, {**place.variables(), **home, **self.variables})


class BentoMLBatching(BentoML):
    """BentoML with its adaptive batching."""

    name = "bentoml-batching"
    variables: ClassVar[dict[str, str]] = {"BENCH_BATCHING": "1"}


class LitServe(RowsPeer):
    """LitServe: a server process and one worker."""

    name = "litserve"
    requirements = ("litserve==0.2.19", ONNXRUNTIME)
    path = "/predict"

    def prepare(self, place: Place) -> Launch:
        """A program of its own."""
        return Launch((str(place.python), str(SERVERS / "litserve_server.py")), place.variables())


class KServe(Peer):
    """KServe's Python SDK."""

    name = "kserve"
    requirements = ("kserve==0.21.0", ONNXRUNTIME)
    encodings = ("json", "v1", "binary")

    def prepare(self, place: Place) -> Launch:
        """A program of its own."""
        return Launch((str(place.python), str(SERVERS / "kserve_server.py")), place.variables())

    def request(self, subject: Subject, encoding: Encoding) -> Request:
        """Open Inference or KServe v1."""
        if encoding == "v1":
            return Request("/v1/models/model:predict", rows_json(subject))
        return (
            inference_binary(subject, "/v2/models/model/infer")
            if encoding == "binary"
            else infer_json(subject, "model")
        )

    def read(self, answer: Answer) -> Array:
        """Either form."""
        return read_rows(answer) if answer.body.startswith(b'{"predictions"') else read_inference(answer)


class MLflow(RowsPeer):
    """``mlflow models serve`` of MLflow's own ONNX flavor."""

    name = "mlflow"
    requirements = ("mlflow==3.17.2", "onnx==1.23.2", ONNXRUNTIME)
    path = "/invocations"

    def prepare(self, place: Place) -> Launch:
        """The model, saved by MLflow itself."""
        saved = place.folder / "saved"
        env = {**place.variables(), "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{place.python.parent}:/usr/bin:/bin"}
        save = [str(place.python), str(SERVERS / "mlflow_save.py"), str(place.subject.model), str(saved)]
        done = subprocess.run(save, env=environment(env, home=place.folder), cwd=place.folder, capture_output=True,
                              text=True, timeout=120, check=False)  # fmt: skip
        if done.returncode:
            raise PeerUnavailable(f"mlflow did not save the model: {done.stderr.strip()[-300:]}")
        argv = (str(place.python.with_name("mlflow")), "models", "serve", "--model-uri", str(saved), "--env-manager",
                "local", "--host", "127.0.0.1", "--port", str(place.port), "--workers", "1")  # fmt: skip
        return Launch(argv, env)


class AzureML(RowsPeer):
    """Azure Machine Learning's inference server."""

    name = "azureml"
    requirements = ("azureml-inference-server-http==1.5.1", ONNXRUNTIME)
    path = "/score"
    key = "data"

    def prepare(self, place: Place) -> Launch:
        """A scoring script."""
        argv = (str(place.python.with_name("azmlinfsrv")), "--entry_script", str(SERVERS / "score.py"), "--port",
                str(place.ports[0]), "--health_port", str(place.ports[1]), "--worker_count", "1")  # fmt: skip
        return Launch(argv, place.variables())
