"""A package becomes a model that may answer: loaded, tested on this machine, and measured."""

from dataclasses import replace
from typing import Final

from runtime.contract.package import VerifiedPackage
from runtime.engine.costs import Costs, measure
from runtime.engine.selftest import self_test
from runtime.engine.session import CPU, OnnxModel, SessionSettings, load_model
from runtime.engine.statistics import Statistics

# A second session holds the weights a second time.
_MOST_WEIGHTS: Final = 256 << 20


def bring_up(package: VerifiedPackage, settings: SessionSettings) -> tuple[OnnxModel, Costs, int]:
    """The model, what its runs cost, and how many test data sets it has passed.

    Raises:
        DrayError: As loading and the self-test do.
    """
    model = load_model(package, settings)
    cases = self_test(model)
    costs = measure(model)
    if settings.adapt and settings.threads > 1 and not costs.inline and _small_on_cpu(model):
        narrow = load_model(package, replace(settings, threads=1))
        self_test(narrow)
        model.adapt(narrow)
    model.statistics = Statistics()
    return model, costs, cases


def _small_on_cpu(model: OnnxModel) -> bool:
    weights = (model.manifest.onnx.path, *model.manifest.onnx.external_data)
    size = sum((model.package.root / path).stat().st_size for path in weights)
    return model.providers == (CPU,) and size <= _MOST_WEIGHTS
