"""The sizes that free axes may have: all, or multiples only, or from a size on, as ``torch.export`` says."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from packager.converters.torch_export.structure import named_tensors

_MULTIPLE = re.compile(r"(\w+) = (\d+)\*_\w+")
_HELPER = re.compile(r"_\w+ = Dim\(")
_LEAST = re.compile(r"(\w+) = Dim\('\w+', min=(\d+)\)")
_VIOLATED = re.compile(r"Constraints violated \(([^)]*)\)")
# A size that must not come to be 1 inside of the module, or that must be at least a number: small sizes are excluded.
_TOO_SMALL = re.compile(r"generated guard (?:.* != 1|\d+ <= \S+ and \S+ <= IntInfinity\(\))\.?$")
# Sizes are tried one by one up to the second, then doubled: every trial is an export.
_FIRST_TRIED, _LAST_BY_ONE = 4, 6
Axes = Mapping[str, Mapping[int, str]]
Dims = tuple[dict[int, Any] | None, ...]


def any_sizes(arguments: Mapping[str, Any], free_axes: Axes, longest: Mapping[str, int]) -> Dims:
    """What ``torch.export`` is told of axes whose sizes have no bound but the longest."""
    import torch

    sizes = {
        axis: torch.export.Dim(axis, max=longest.get(axis)) for axes in free_axes.values() for axis in axes.values()
    }
    return tuple(
        {index: sizes[axis] for index, axis in free_axes[name].items()} if free_axes.get(name) else None
        for name in named_tensors(arguments)
    )


def narrowed(refusal: str, dims: Dims, tensors: Sequence[Any]) -> Dims | None:
    """Sizes that the module does take, by what torch says of those that it does not.

    None where it asks for anything but multiples, as of images that are halved and doubled again, or larger sizes, as
    of filters that must fit: a size that is fixed, or axes that are equal.
    """
    lines = refusal.partition("Suggested fixes:")[2].partition("\n\n")[0].splitlines()
    fixes = [line.strip() for line in lines if line.strip()]
    if multiples := _in_multiples(fixes, dims):
        return multiples
    return _from(refusal, fixes, dims, tensors)


def sizes_said(program: Any, free_axes: Axes) -> tuple[str, ...]:
    """What is to be said of axes that are free in multiples only, or from a size on."""
    shapes = [
        node.meta["val"].shape for node in program.graph.nodes if node.name in program.graph_signature.user_inputs
    ]
    said = {}
    for shape, axes in zip(shapes, free_axes.values(), strict=True):
        for index, axis in axes.items():
            if found := re.fullmatch(r"(\d+)\*\w+", str(shape[index])):
                said[axis] = f"must be a multiple of {found[1]}"
            elif (least := _least_size(program, shape[index])) > 2:  # torch takes 0 and 1 for constants anyway
                said[axis] = f"must be {least} or more"
    return tuple(f"the size of the axis {axis!r} {rule}" for axis, rule in said.items())


def _least_size(program: Any, size: Any) -> int:
    known = {str(symbol): span for symbol, span in program.range_constraints.items()}
    return int(known[str(size)].lower) if str(size) in known else 0


def _in_multiples(fixes: Sequence[str], dims: Dims) -> Dims | None:
    import torch

    found = {name[1]: int(name[2]) for line in fixes if (name := _MULTIPLE.fullmatch(line))}
    if not found or not all(_MULTIPLE.fullmatch(line) or _HELPER.match(line) for line in fixes):
        return None
    given = {dim.__name__: dim for axes in dims for dim in (axes or {}).values()}
    if any(type(given.get(name)) is not torch.export.Dim for name in found):  # multiples already
        return None
    sizes = {name: factor * torch.export.Dim(f"_{name}") for name, factor in found.items()}
    return tuple(axes and {index: sizes.get(dim.__name__, dim) for index, dim in axes.items()} for axes in dims)


def _from(refusal: str, fixes: Sequence[str], dims: Dims, tensors: Sequence[Any]) -> Dims | None:
    """The axes from a size on: the one that torch names, else larger ones, up to the example's."""
    import torch

    reasons = [line.strip() for line in refusal.splitlines() if line.strip().startswith("- ")]
    least = {found[1]: int(found[2]) for line in fixes if (found := _LEAST.fullmatch(line))}
    if len(least) < len(fixes) or not (least or reasons) or not all(map(_TOO_SMALL.search, reasons)):
        return None
    violated = _VIOLATED.search(refusal)
    names = {name.strip() for name in violated[1].split(",")} if violated else set(least)
    sizes: dict[str, Any] = {}
    for axes, tensor in zip(dims, tensors, strict=True):
        for index, dim in (axes or {}).items():
            if dim.__name__ not in names:
                continue
            start = least.get(dim.__name__) or _larger(dim.min)
            if type(dim) is not torch.export.Dim or start <= dim.min or start > tensor.shape[index]:
                return None
            sizes[dim.__name__] = torch.export.Dim(dim.__name__, min=start, max=dim.max)
    if not sizes:
        return None
    return tuple(axes and {index: sizes.get(dim.__name__, dim) for index, dim in axes.items()} for axes in dims)


def _larger(least: int) -> int:
    return max(_FIRST_TRIED, least + 1) if least < _LAST_BY_ONE else 2 * least
