"""A package becomes a model that may answer: loaded, tested on this machine, and measured."""

import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from runtime.contract.package import VerifiedPackage
from runtime.engine.circuit import check_vectors, load_circuit
from runtime.engine.costs import Costs, measure, sample_inputs, shares_runs
from runtime.engine.placement import Placement, placed, read_profile
from runtime.engine.providers import judge
from runtime.engine.runs import Adaptive, Array, InSizes
from runtime.engine.selftest import self_test
from runtime.engine.session import CPU, CUDA_BASED, OnnxModel, SessionSettings, load_model
from runtime.engine.statistics import Statistics

logger = logging.getLogger(__name__)

# A second session holds the weights a second time.
_MOST_WEIGHTS: Final = 256 << 20
# A run of eight rows of a MobileNet took less than twice a run of one on an H100, and preparing about a second.
_SIZES: Final = (1, 8)
_DEAR_S: Final = 0.02


def bring_up(package: VerifiedPackage, settings: SessionSettings) -> tuple[OnnxModel, Costs, int]:
    """The model, what its runs cost, and how many test data sets it has passed.

    Raises:
        DrayError: As loading and the self-test do.
    """
    model, cases = _tested(package, settings)
    if model.providers[0] in CUDA_BASED and shares_runs(model):
        row = {name: value[:1] for name, value in sample_inputs(model).items()}
        if _change_s(model, row) > _DEAR_S:
            sizes = _SIZES if _small(model) else _SIZES[-1:]
            model.call = InSizes({size: _prepared(package, settings, _batch(row, size)).call for size in sizes})
            cases = self_test(model)
    costs = measure(model)
    if settings.adapt and settings.threads > 1 and not costs.inline and model.providers == (CPU,) and _small(model):
        narrow = load_model(package, replace(settings, threads=1))
        self_test(narrow)
        model.call = Adaptive(model.call, narrow.call)
    model.most_rows = settings.max_batch if shares_runs(model) else None
    model.statistics = Statistics()
    return model, costs, cases


def _tested(package: VerifiedPackage, settings: SessionSettings) -> tuple[OnnxModel, int]:
    """The model, having passed its self-test, and where that ran, if that may be elsewhere than on the CPU."""
    if package.manifest.circuit is not None:
        return _tested_circuit(package, settings)
    asked, fallback = settings.contract.asked, settings.fallback
    if not asked:
        model = load_model(package, settings)
        return model, self_test(model)
    with tempfile.TemporaryDirectory(prefix="dray-") as folder:
        model = load_model(package, settings, profile=Path(folder))
        cases = self_test(model)
        placement: Placement = placed(read_profile(model.profile()), asked, fallback=fallback, why=model.why)
    judge(placement, settings.contract, model.manifest.name)
    model.placement, model.providers = placement, placement.providers
    return model, cases


def _tested_circuit(package: VerifiedPackage, settings: SessionSettings) -> tuple[OnnxModel, int]:
    """The circuit's rows of integers first: what they say is exact, and names the circuit and not the host's parts."""
    model, circuit = load_circuit(package, settings)
    rows = check_vectors(package, circuit)
    cases = self_test(model)
    logger.info("%s: %s rows of integers as in the reference, bit for bit", model.manifest.name, rows)
    return model, cases


def _change_s(model: OnnxModel, row: Mapping[str, Array]) -> float:
    """Seconds that a run takes longer because the one before it had another number of rows."""
    taken = []
    for rows in (1, 2, 1, 1):
        batch = _batch(row, rows)
        started = time.perf_counter()
        model.run(batch)
        taken.append(time.perf_counter() - started)
    return taken[2] - taken[3]


def _prepared(package: VerifiedPackage, settings: SessionSettings, batch: Mapping[str, Array]) -> OnnxModel:
    """A model whose session has seen this number of rows, and is to see no other."""
    model = load_model(package, settings)
    model.run(batch)
    return model


def _batch(row: Mapping[str, Array], rows: int) -> dict[str, Array]:
    return {name: value.repeat(rows, axis=0) for name, value in row.items()}


def _small(model: OnnxModel) -> bool:
    weights = (model.manifest.onnx.path, *model.manifest.onnx.external_data)
    return sum((model.package.root / path).stat().st_size for path in weights) <= _MOST_WEIGHTS
