"""Finding the sizes of a model: what the file tells, what the user tells, and what has to be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.mxnet.operators.creation import UNKNOWN
from packager.converters.mxnet.ranks import wanted_ranks
from packager.converters.mxnet.sizes import Size, named, size
from packager.converters.mxnet.symbol import NULL, Entry, Symbol
from packager.converters.mxnet.translate import Entrance, Translation, label_of_each, needed_nodes, translate
from packager.converters.mxnet.values import SizeBound, SizeNeeded
from packager.converters.mxnet.writer import GraphWriter
from packager.core.errors import ConverterMissing, ModelInvalid, SampleError

BATCH = "batch"
SEQUENCE = "sequence"
LENGTHS = "lengths"
_MOST_PASSES = 300
_PARAMETER_ENDS = (
    *("_weight", "_bias", "_gamma", "_beta", "_parameters"),
    *("_moving_mean", "_moving_var", "_running_mean", "_running_var"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one input from outside the graph.

    Attributes:
        asked: The user's own sizes; None is a free axis. None as a whole: not said.
        seen: Sizes of samples or in the file, taken where a size cannot stay free; None: not known.
    """

    dtype: "np.dtype[Any]"
    asked: tuple[int | None, ...] | None = None
    seen: tuple[int | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A translation whose sizes hold together."""

    translation: Translation
    entrances: tuple[Entrance, ...]
    lengths: bool


def input_names(symbol: Symbol, heads: tuple[Entry, ...], arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """What the answers depend on beside the parameters, in the order of the file.

    Raises:
        ModelInvalid: A parameter is not in the file, or there is nothing to ask the model.
    """
    names = []
    for index in needed_nodes(symbol, heads):
        node = symbol.nodes[index]
        if node.op != NULL or node.name in arrays or node.name in names:
            continue
        if node.name.endswith(_PARAMETER_ENDS) or "__init__" in node.attributes:
            raise ModelInvalid(
                f"the parameters lack {node.name!r}", hint="give the .params file that was saved with this symbol"
            )
        names.append(node.name)
    if not names:
        raise ModelInvalid("the symbol has no input: its answers depend on nothing", hint="export the model again")
    return names


def kept_heads(symbol: Symbol) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The heads that give answers, and notes on those that need a label, such as losses.

    Raises:
        ConverterMissing: No head is left.
    """
    labels = label_of_each(symbol)
    kept = tuple(head for head in symbol.heads if not labels[head.node])
    notes = tuple(
        f"the head {symbol.nodes[head.node].name!r} is left out: it needs {labels[head.node]!r}"
        for head in symbol.heads
        if labels[head.node]
    )
    if not kept:
        head = symbol.heads[0]
        raise ConverterMissing(
            f"the answer of {symbol.nodes[head.node].name!r} depends on the label {labels[head.node]!r}: it is a loss",
            hint="export the part of the symbol that predicts: symbol.get_internals()['NAME_output']",
        )
    return kept, notes


class Fitting:
    """The search for sizes: translate, learn what a size must be, and translate again."""

    def __init__(
        self, symbol: Symbol, heads: tuple[Entry, ...], arrays: Mapping[str, NDArray[Any]], told: Mapping[str, Told]
    ) -> None:
        self._symbol = symbol
        self._heads = heads
        self._arrays = arrays
        self._told = told
        self._bound: dict[str, Size] = {}
        self._passes = 0
        guessed = wanted_ranks(symbol, needed_nodes(symbol, heads), arrays)
        self._axes = {name: self._axes_of(name, guessed.get(name)) for name in told}

    def run(self, *, lengths: bool) -> Fitted:
        """The translation, with rows and sequences free.

        Raises:
            SampleError: A size cannot be known, or samples do not fit.
            ConverterMissing, ModelInvalid: As ``translate`` raises them.
        """
        graph = self._translated().graph
        self._name_rows(graph)
        graph = self._translated().graph
        self._fix_what_is_seen(graph)
        graph = self._translated().graph
        self._name_sequences(graph)
        self._fix_first_axes()
        translation = self._translated()
        if lengths:
            sequence = {symbol for symbol in translation.graph.sequence if symbol.startswith(SEQUENCE)}
            translation = self._with_lengths(frozenset(sequence))
        self._check_given(translation)
        return Fitted(translation, tuple(self._entrances().values()), lengths)

    def _check_given(self, translation: Translation) -> None:
        """Whether all begin states have found their sizes: those without are in no file and in no input."""
        given = translation.graph.given([name for name, _ in translation.outputs])
        if nowhere := given - set(self._told) - {LENGTHS}:
            raise ConverterMissing(
                f"the node {min(nowhere)!r} was saved without sizes, and nothing in the graph tells them",
                hint="give begin states a shape when the model is exported",
            )

    def _axes_of(self, name: str, guessed: int | None) -> tuple[Size, ...]:
        told = self._told[name]
        known = told.asked if told.asked is not None else told.seen
        rank = len(known) if known is not None else guessed
        if rank is None:
            raise SampleError(
                f"the file does not tell how many axes the input {name!r} has",
                hint=f"say its shape, rows first: --input {name}=FP32:N,3,224,224; or give --samples",
            )
        asked = told.asked or (None,) * rank
        return tuple(named(f"{name}_{axis}") if given is None else size(given) for axis, given in enumerate(asked))

    def _entrances(self) -> dict[str, Entrance]:
        return {
            name: Entrance(name, tuple(dim.with_values(self._bound) for dim in dims), self._told[name].dtype)
            for name, dims in self._axes.items()
        }

    def _translated(self, *, lengths: str = "", sequence: frozenset[str] = frozenset()) -> Translation:
        while True:
            self._passes += 1
            if self._passes > _MOST_PASSES:
                raise ModelInvalid("the sizes of the model contradict each other", hint="say them with --input")
            graph = GraphWriter(lengths=lengths, sequence=sequence, bound=self._bound)
            try:
                return translate(self._symbol, self._heads, self._arrays, self._entrances(), graph)
            except SizeBound as found:
                self._bind(found.symbol, found.value)
            except SizeNeeded as needed:
                self._take_seen(needed)

    def _bind(self, symbol: str, value: Size) -> None:
        if symbol in value.symbols or (value.fixed is not None and value.fixed < 1):
            raise ModelInvalid(f"the size {symbol} would have to be {value}", hint="check the shapes in --input")
        step = {symbol: value}
        self._bound = {name: known.with_values(step) for name, known in self._bound.items()}
        self._bound[symbol] = value

    def _take_seen(self, needed: SizeNeeded) -> None:
        for symbol in sorted(needed.symbols, key=lambda name: (name == BATCH, name)):
            place = self._place_of(symbol)
            if place is not None and (seen := self._seen(*place)) is not None:
                self._bind(symbol, size(seen))
                return
        if isinstance(needed.otherwise, SizeBound):
            self._bind(needed.otherwise.symbol, needed.otherwise.value)
            return
        symbol = min(needed.symbols, default="")
        if symbol.startswith(UNKNOWN) or not symbol:
            raise ConverterMissing(
                f"the node {needed.node!r} cannot be converted: {needed.why}, and nothing tells the size",
                hint="give begin states a shape when the model is exported",
            )
        name, axis = self._place_of(symbol) or (next(iter(self._told)), 0)
        raise SampleError(
            f"the size of axis {axis} of the input {name!r} is not in the file, and is needed: "
            f"{needed.node}: {needed.why}",
            hint=f"say it, rows first: --input {name}=FP32:{self._example(name)}; or give --samples",
        )

    def _example(self, name: str) -> str:
        dims = self._entrances()[name].dims
        shown = [str(dim.fixed) if dim.fixed is not None else "28" for dim in dims]
        return ",".join(["N", *shown[1:]])

    def _place_of(self, symbol: str) -> tuple[str, int] | None:
        for name, entrance in self._entrances().items():
            for axis, dim in enumerate(entrance.dims):
                if dim.symbol == symbol:
                    return name, axis
        return None

    def _seen(self, name: str, axis: int) -> int | None:
        """A size from samples; never a number of rows."""
        seen = self._told[name].seen
        is_row = self._axes[name][axis].symbol == f"{name}_0" and not self._time_major(name)
        return None if seen is None or is_row else seen[axis]

    def _time_major(self, name: str) -> bool:
        """Whether rows were found on another axis than the first."""
        return any(dim.symbol == BATCH for dim in self._entrances()[name].dims[1:])

    def _name_rows(self, graph: GraphWriter) -> None:
        """One name for the axis that counts rows: what recurrences treat apart, else the first of each input."""
        rows = graph.roots(frozenset(graph.rows)) - {BATCH}
        for symbol in sorted(rows):
            if not symbol.startswith(UNKNOWN):
                self._bind(symbol, named(BATCH))
        sequences = graph.roots(frozenset(graph.sequence))
        for entrance in self._entrances().values():
            first = entrance.dims[0].symbol if entrance.dims else None
            taken = any(dim.symbol == BATCH for dim in entrance.dims)
            if first is not None and first != BATCH and not taken and first not in sequences:
                self._bind(first, named(BATCH))

    def _fix_what_is_seen(self, graph: GraphWriter) -> None:
        """Free sizes that samples show become numbers, but for rows, sequences and lists of indices."""
        free = graph.roots(frozenset(graph.sequence)) | {BATCH}
        for name, entrance in self._entrances().items():
            if name in graph.vocabularies:
                free |= {dim.symbol for dim in entrance.dims if dim.symbol}
        for name, entrance in self._entrances().items():
            for axis, dim in enumerate(entrance.dims):
                symbol = dim.symbol
                seen = self._seen(name, axis)
                if seen is not None and symbol is not None and symbol not in free and symbol not in self._bound:
                    self._bind(symbol, size(seen))

    def _name_sequences(self, graph: GraphWriter) -> None:
        symbols = sorted(graph.roots(frozenset(graph.sequence)) - {BATCH})
        for number, symbol in enumerate(symbols, 1):
            if self._place_of(symbol):
                self._bind(symbol, named(SEQUENCE if number == 1 else f"{SEQUENCE}{number}"))

    def _fix_first_axes(self) -> None:
        """Rows on another axis than the first need a number on the first: dray's rows are counted there."""
        for name, entrance in self._entrances().items():
            symbol = entrance.dims[0].symbol if entrance.dims else None
            if symbol is None or symbol == BATCH:
                continue
            seen = (self._told[name].seen or (None,))[0]
            if seen is None:
                raise SampleError(
                    f"the input {name!r} has its rows on another axis than the first, whose size is not in the file",
                    hint=f"say it: --input {name}=FP32:35,N,…; or give --samples; or export a model with layout='NTC'",
                )
            self._bind(symbol, size(seen))

    def _with_lengths(self, sequence: frozenset[str]) -> Translation:
        if not sequence:
            raise ConverterMissing(
                "the model cannot take lengths: it has no recurrence over a sequence of any length",
                hint="leave --lengths away; a model of a fixed number of steps takes whole sequences only",
            )
        if LENGTHS in self._told:
            raise ConverterMissing("the model has an input named 'lengths' already", hint="leave --lengths away")
        return self._translated(lengths=LENGTHS, sequence=sequence)
