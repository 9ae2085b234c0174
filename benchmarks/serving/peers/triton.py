"""NVIDIA Triton: the real ``tritonserver``, as the wheel of PyTriton carries it."""

import shutil
import sysconfig
from pathlib import Path
from typing import ClassVar

from benchmarks.serving.bodies import Request, inference_binary
from benchmarks.serving.cells import Encoding
from benchmarks.serving.peers.base import ONNXRUNTIME, SERVERS, Launch, Peer, PeerUnavailable, Place, infer_json
from benchmarks.serving.subjects import Subject

_TYPES = {"float32": "TYPE_FP32", "float64": "TYPE_FP64", "int64": "TYPE_INT64"}
# A light model was fastest in one process, a heavy one takes a process for each core.
_HEAVY = ("mobilenet",)


class Triton(Peer):
    """tritonserver with the Python backend; each request on its own."""

    name = "triton"
    kind = "triton"
    requirements = ("nvidia-pytriton==0.7.0", ONNXRUNTIME)
    encodings = ("json", "binary")
    batching: ClassVar[bool] = False
    mark = "(Python backend)"
    note = "the wheel of PyTriton holds tritonserver with this backend only; the ONNX Runtime backend may be faster"

    def prepare(self, place: Place) -> Launch:
        """A model repository and the backends with the stub of this Python."""
        packages = next((place.python.parents[1] / "lib").glob("python*/site-packages"))
        wheel = packages / "pytriton"
        backends = place.folder / "backends"
        shutil.copytree(wheel / "tritonserver" / "backends", backends)
        version = packages.parent.name.removeprefix("python")
        stub = wheel / "tritonserver" / "python_backend_stubs" / version / "triton_python_backend_stub"
        if not stub.is_file():
            raise PeerUnavailable(f"the wheel has no stub for Python {version}")
        shutil.copy(stub, backends / "python")
        model = place.folder / "repository" / "model"
        (model / "1").mkdir(parents=True)
        shutil.copy(SERVERS / "triton_model.py", model / "1" / "model.py")
        # The stub looks beside the model, and not where PYTHONPATH says.
        shutil.copy(SERVERS / "onnx_session.py", model / "1")
        (model / "config.pbtxt").write_text(configuration(place.subject, batching=self.batching))
        return self._launch(place, wheel, packages, backends)

    def _launch(self, place: Place, wheel: Path, packages: Path, backends: Path) -> Launch:
        argv = (str(wheel / "tritonserver" / "bin" / "tritonserver"), "--model-repository",
                str(place.folder / "repository"), "--backend-directory", str(backends), "--http-address", "127.0.0.1",
                "--http-port", str(place.port), "--allow-grpc=false", "--allow-metrics=false")  # fmt: skip
        # The stub is linked with libpython, which nothing finds where Python is not the system's.
        libraries = [str(sysconfig.get_config_var("LIBDIR")), *map(str, wheel.parent.glob("nvidia_pytriton.libs"))]
        env = {
            "LD_LIBRARY_PATH": ":".join(libraries),
            "PATH": f"{place.python.parent}:/usr/bin:/bin",
            "PYTHONPATH": f"{packages}:{SERVERS}",
        }
        return Launch(argv, env)

    def request(self, subject: Subject, encoding: Encoding) -> Request:
        """The Open Inference Protocol is Triton's own."""
        return (
            inference_binary(subject, "/v2/models/model/infer")
            if encoding == "binary"
            else infer_json(subject, "model")
        )


class TritonBatching(Triton):
    """Triton's dynamic batching; what it hands over together, the model concatenates and runs once."""

    name = "triton-batching"
    batching = True


def configuration(subject: Subject, *, batching: bool) -> str:
    """The model's ``config.pbtxt``."""
    outputs = [
        f'{{ name: "{name}" data_type: {_TYPES[value.dtype.name]} {_dims(value.shape[1:])} }}'
        for name, value in subject.outputs.items()
    ]
    given = subject.row
    return f"""
backend: "python"
max_batch_size: 64
{"dynamic_batching { }" if batching else ""}
input [ {{ name: "{subject.input_name}" data_type: {_TYPES[given.dtype.name]} {_dims(given.shape[1:])} }} ]
output [ {", ".join(outputs)} ]
instance_group [ {{ count: {2 if subject.name in _HEAVY else 1} kind: KIND_CPU }} ]
parameters {{ key: "model" value: {{ string_value: "{subject.model}" }} }}
"""


def _dims(shape: tuple[int, ...]) -> str:
    return f"dims: {list(shape)}" if shape else "dims: [ 1 ] reshape: { shape: [ ] }"
