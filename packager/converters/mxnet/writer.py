"""Building an ONNX graph: nodes, constants, and sizes that are known only when it runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from packager.converters.mxnet.sizes import Size, floor_divided, named
from packager.converters.mxnet.values import SizeNeeded, Value

Array = NDArray[Any]
_SHARED_BYTES = 256


class GraphWriter:
    """A graph that grows; names are unique, small constants are shared.

    Attributes:
        lengths: Name of the input that holds the lengths of sequences; empty without.
        sequence: Names of sizes that recurrences run over. ``rows``: of those that they treat apart.
        bound: What free sizes turned out to be.
        vocabularies: By input whose numbers are indices, how many they choose from.
        definitions: Sizes that are not followed, and what they come from.
    """

    def __init__(
        self, *, lengths: str = "", sequence: frozenset[str] = frozenset(), bound: Mapping[str, Size] | None = None
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, Array] = {}
        self.lengths = lengths
        self.sequence: set[str] = set(sequence)
        self.rows: set[str] = set()
        self.bound: Mapping[str, Size] = bound or {}
        self.vocabularies: dict[str, int] = {}
        self._taken: set[str] = {lengths}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._homes: dict[str, tuple[str, int, int]] = {}
        self._floors: dict[tuple[Size, int], str] = {}
        self._sizes: dict[Size, str] = {}
        self.definitions: dict[str, frozenset[str]] = {}

    def unique(self, wanted: str) -> str:
        """A name that nothing has yet."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def emit(self, op: str, inputs: Sequence[str], *, scope: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """Names of a new node's outputs; attributes that are None are left out."""
        name = self.unique(f"{scope}/{op}")
        results = [name if outputs == 1 else self.unique(f"{name}:{index}") for index in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(op, list(inputs), results, name=name, **given))
        return results

    def constant(self, array: Array, *, name: str = "constant") -> str:
        """Name of an initializer."""
        if array.nbytes > _SHARED_BYTES:
            unique = self.unique(name)
            self.initializers[unique] = array
            return unique
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.unique(name)
            self.initializers[self._constants[key]] = array
        return self._constants[key]

    def value(self, name: str, dims: Sequence[Size], dtype: Any) -> Value:
        """A tensor of the graph; free sizes that are new can be read from it when the graph runs."""
        for axis, dim in enumerate(dims):
            offset = dict(dim.terms).get((), 0)
            if (symbol := (dim - offset).symbol) is not None and symbol not in self._homes:
                self._homes[symbol] = (name, axis, offset)
        return Value(name, tuple(dims), np.dtype(dtype))

    def opaque(self, hint: str, *sources: Size) -> Size:
        """A new free size that comes of others in a way that is not followed."""
        name = self.unique(hint)
        self.definitions[name] = frozenset[str]().union(*(source.symbols for source in sources))
        return named(name)

    def floored(self, value: Size, divisor: int) -> Size:
        """``value // divisor``; the same free size for the same quotient."""
        exact, rest = floor_divided(value, divisor)
        if rest is None:
            return exact
        key = (rest, divisor)
        if key not in self._floors:
            symbol = self.opaque("size", rest).symbol
            self._floors[key] = str(symbol)
        return exact + named(self._floors[key])

    def roots(self, symbols: frozenset[str]) -> frozenset[str]:
        """The inputs' free sizes that these come from."""
        found: set[str] = set()
        pending = list(symbols)
        while pending:
            name = pending.pop()
            if name in self.definitions:
                pending += self.definitions[name]
            else:
                found.add(name)
        return frozenset(found)

    def shape(self, dims: Sequence[Size], *, scope: str) -> str:
        """An INT64 vector of these sizes, computed when the graph runs where they are free."""
        fixed = [dim.fixed for dim in dims]
        if all(number is not None for number in fixed):
            return self.constant(np.array(fixed, np.int64))
        parts = [self.size(dim, scope=scope) for dim in dims]
        return parts[0] if len(parts) == 1 else self.emit("Concat", parts, scope=scope, axis=0)[0]

    def size(self, dim: Size, *, scope: str) -> str:
        """One size as an INT64 vector of one number."""
        if dim.fixed is not None:
            return self.constant(np.array([dim.fixed], np.int64))
        if dim in self._sizes:
            return self._sizes[dim]
        total = ""
        for names, factor in dim.terms:
            term = self.constant(np.array([factor], np.int64)) if factor != 1 or not names else ""
            for name in names:
                read = self._read(name, scope)
                term = self.emit("Mul", [term, read], scope=scope)[0] if term else read
            total = self.emit("Add", [total, term], scope=scope)[0] if total else term
        self._sizes[dim] = total
        return total

    def evaluate(self, name: str) -> Array | None:
        """The numbers of a tensor that depends on parameters alone; None where it depends on an input."""
        if name in self.initializers:
            return self.initializers[name]
        needed, leaves = self._ancestors(name)
        if not leaves <= set(self.initializers):
            return None
        import onnxruntime as ort

        graph = helper.make_graph(
            needed,
            "constants",
            [],
            [helper.make_empty_tensor_value_info(name)],
            [numpy_helper.from_array(self.initializers[leaf], leaf) for leaf in sorted(leaves)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # threads would cost more than what they compute
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        result: Array = session.run([name], {})[0]
        return result

    def _ancestors(self, *names: str) -> tuple[list[onnx.NodeProto], set[str]]:
        """The nodes that these need, in order, and what no node makes."""
        wanted, leaves, kept = set(names), set(), []
        for node in reversed(self.nodes):
            if wanted.isdisjoint(node.output):
                continue
            kept.append(node)
            wanted |= set(filter(None, node.input))
        made = {output for node in kept for output in node.output}
        leaves = wanted - made
        return kept[::-1], leaves

    def prune(self, outputs: Sequence[str]) -> None:
        """Drop what no output needs."""
        kept, leaves = self._ancestors(*outputs)
        self.nodes = kept
        self.initializers = {name: array for name, array in self.initializers.items() if name in leaves}

    def given(self, outputs: Sequence[str]) -> set[str]:
        """What these outputs need and nothing here makes: it must be given when the graph runs."""
        return self._ancestors(*outputs)[1] - set(self.initializers)

    def forget_sizes(self) -> None:
        """Read sizes and make constants again from here on: those that no output needed are gone."""
        self._sizes.clear()
        self._constants.clear()

    def _read(self, symbol: str, scope: str) -> str:
        key = named(symbol)
        if key not in self._sizes:
            if symbol not in self._homes:
                raise SizeNeeded(frozenset({symbol}), scope, "it needs the size of a tensor that was saved without")
            home, axis, offset = self._homes[symbol]
            read = self.emit("Shape", [home], scope=scope, start=axis, end=axis + 1)[0]
            if offset:
                read = self.emit("Sub", [read, self.constant(np.array([offset], np.int64))], scope=scope)[0]
            self._sizes[key] = read
        return self._sizes[key]
