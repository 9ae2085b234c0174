"""A package becomes a model that may answer: loaded, tested on this machine, and measured."""

import time
from dataclasses import replace
from typing import Final

import numpy as np

from runtime.contract.package import VerifiedPackage
from runtime.engine.costs import Costs, first_row, measure, shares_runs
from runtime.engine.selftest import self_test
from runtime.engine.session import CPU, CUDA_BASED, OnnxModel, SessionSettings, load_model
from runtime.engine.statistics import Statistics

# A second session holds the weights a second time.
_MOST_WEIGHTS: Final = 256 << 20
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
_PREPARE_S: Final = 20.0


def bring_up(package: VerifiedPackage, settings: SessionSettings) -> tuple[OnnxModel, Costs, int]:
    """The model, what its runs cost, and how many test data sets it has passed.

    Raises:
        DrayError: As loading and the self-test do.
    """
    model = load_model(package, settings)
    cases = self_test(model)
    if model.providers[0] in CUDA_BASED and shares_runs(model):
        model.keep_to(_prepared(model))
    costs = measure(model)
    if settings.adapt and settings.threads > 1 and not costs.inline and _small_on_cpu(model):
        narrow = load_model(package, replace(settings, threads=1))
        self_test(narrow)
        model.adapt(narrow)
    model.statistics = Statistics()
    return model, costs, cases


def _prepared(model: OnnxModel) -> list[int]:
    """Numbers of rows that the card has been prepared for, as long as there is time for more."""
    sizes: list[int] = []
    row, until = first_row(model), time.monotonic() + _PREPARE_S
    for size in _SIZES:
        if time.monotonic() > until:
            break
        model.run({name: np.repeat(value, size, axis=0) for name, value in row.items()})
        sizes.append(size)
    return sizes


def _small_on_cpu(model: OnnxModel) -> bool:
    weights = (model.manifest.onnx.path, *model.manifest.onnx.external_data)
    size = sum((model.package.root / path).stat().st_size for path in weights)
    return model.providers == (CPU,) and size <= _MOST_WEIGHTS
