"""dray's own server, as ``dray serve`` starts it."""

from typing import ClassVar

from benchmarks.serving.bodies import Answer, Request, inference_binary, read_inference, read_rows, rows_json
from benchmarks.serving.cells import Encoding
from benchmarks.serving.peers.base import ROOT, Launch, Peer, Place, infer_json
from benchmarks.serving.subjects import Array, Subject


class Dray(Peer):
    """One process; every check on, every setting at its default but the threads of a run."""

    name = "dray"
    kind = "dray"
    encodings = ("json", "v1", "binary")
    settings: ClassVar[dict[str, str]] = {}
    note = "DRAY_THREADS=1, all else at its default: every check, log level info, metrics"

    def prepare(self, place: Place) -> Launch:
        """The package as it is."""
        env = {
            "DRAY_PACKAGES": str(place.subject.package),
            "DRAY_HOST": "127.0.0.1",
            "DRAY_PORT": str(place.port),
            "DRAY_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            **self.settings,
        }
        return Launch((str(place.python), "-P", "-m", "runtime"), env)

    def request(self, subject: Subject, encoding: Encoding) -> Request:
        """Open Inference or KServe v1."""
        if encoding == "v1":
            return Request(f"/v1/models/{subject.name}:predict", rows_json(subject))
        if encoding == "binary":
            return inference_binary(subject, f"/v2/models/{subject.name}/infer")
        return infer_json(subject, subject.name)

    def read(self, answer: Answer) -> Array:
        """Either form: only v1 has predictions."""
        return read_rows(answer) if answer.body.startswith(b'{"predictions"') else read_inference(answer)


class DrayWorkers(Dray):
    """A process for each core."""

    name = "dray-workers"
    settings: ClassVar[dict[str, str]] = {"DRAY_WORKERS": "auto"}
    note = "the same with DRAY_WORKERS=auto; it shares its cores with wrk"
