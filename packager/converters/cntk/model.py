"""A CNTK V2 model as a flat graph of primitives: blocks opened, placeholders replaced by what they stand for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.converters.cntk.attributes import Attributes
from packager.converters.cntk.dictionary import Axis, Shape, Tensor, read_dictionary
from packager.converters.cntk.wire import AGAIN, damaged
from packager.core.errors import ConverterMissing, ModelInvalid

COMBINE, BLOCK, TOP_K, UNPACK_SEQUENCE = 44, 57, 87, 72
# ReduceElements, Pass, NoOp and StopGradient: a loss beneath one of them is a loss still.
_PASSING = {39, 56, 62, 64}
# Kinds of variables. Source: CNTKLibrary.h, enum class VariableKind.
INPUT, OUTPUT, PARAMETER, CONSTANT, PLACEHOLDER = range(5)
_FLOAT, _DOUBLE = 1, 2


@dataclass(frozen=True, slots=True)
class Variable:
    """What a graph starts from: an input, a parameter, a constant, or a placeholder.

    Attributes:
        shape: Static axes, the slowest first; negative where a size is free or unknown.
        dynamic: Names of its dynamic axes, the batch first.
    """

    uid: str
    name: str
    kind: int
    shape: tuple[int, ...]
    dynamic: tuple[str, ...]
    data_type: int
    sparse: bool
    value: Tensor | None


@dataclass(frozen=True, slots=True)
class Node:
    """A primitive function; its inputs are outputs of other nodes or variables, by uid."""

    uid: str
    name: str
    op: int
    inputs: tuple[str, ...]
    attributes: Attributes

    @property
    def title(self) -> str:
        """How an error names it: the name that the user gave, and CNTK's own."""
        return f"{self.name!r} ({self.uid})" if self.name else repr(self.uid)


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the model: a value by its uid.

    Attributes:
        name: Empty where nothing has one.
        place: Among all outputs of the file.
        functions: What gives it, from the outside in: names of blocks, and of the primitive.
    """

    name: str
    uid: str
    place: int = 0
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A whole model.

    Attributes:
        nodes: By the uid of each of their outputs.
        shapes: What the file says of the shape of values that it names before they are computed: those of loops.
    """

    nodes: Mapping[str, Node]
    variables: Mapping[str, Variable]
    outputs: tuple[Output, ...]
    shapes: Mapping[str, tuple[int, ...]]


def read_model(path: Path) -> Model:
    """The model in a file.

    Raises:
        ModelInvalid: Damaged, or no CNTK model.
        ConverterMissing: It holds a function of the user's own.
    """
    tree = read_dictionary(path)
    if tree.get("type") != "CompositeFunction":
        raise ModelInvalid(
            f"{path.name!r} holds a CNTK {_kind_of(tree)}, not a model",
            hint="load it in CNTK and save the model alone with model.save('model.model')",
        )
    return _Flattener(tree).model()


def _kind_of(tree: Mapping[str, Any]) -> str:
    if any("learner" in key.lower() or "trainer" in key.lower() for key in tree):
        return "checkpoint of a trainer"
    return f"object of type {tree.get('type')!r}"


class _Flattener:
    """Opens the blocks of one model."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self._tree = tree
        self._functions: dict[str, dict[str, Any]] = {}
        self._variables: dict[str, Variable] = {}
        self._aliases: dict[str, str] = {}

    def model(self) -> Model:
        self._collect(self._tree)
        for function in self._functions.values():
            if function["op"] == BLOCK:
                self._open(function)
        nodes: dict[str, Node] = {}
        for uid, function in self._functions.items():
            if function["op"] not in (BLOCK, COMBINE):
                node = self._node(uid, function)
                nodes.update({f"{uid}_Output_{index}": node for index in range(_output_count(node))})
        shapes = {
            self._resolved(uid): variable.shape
            for uid, variable in self._variables.items()
            if variable.kind == PLACEHOLDER and all(size >= 0 for size in variable.shape)
        }
        return Model(nodes, self._variables, self._outputs(), shapes)

    def _collect(self, composite: dict[str, Any]) -> None:
        """All functions and variables, also those that an older file keeps inside its blocks."""
        waiting = [composite]
        while waiting:
            part = waiting.pop()
            for entry in _list(part, "inputs"):
                variable = _variable(entry)
                self._variables.setdefault(variable.uid, variable)
            for entry in _list(part, "primitive_functions"):
                function = _function(entry)
                self._functions.setdefault(function["uid"], function)
                if function["op"] == BLOCK:
                    inner = _dictionary(function, "block_function_composite")
                    if "primitive_functions" in inner or "inputs" in inner:
                        waiting.append(inner)

    def _open(self, block: dict[str, Any]) -> None:
        inner = _dictionary(block, "block_function_composite")
        root = _text(inner, "root")
        for index, source in enumerate(self._results(root)):
            self._alias(f"{block['uid']}_Output_{index}", source)
        keys = _list(block, "block_function_composite_arguments_map_keys")
        values = _list(block, "block_function_composite_arguments_map_values")
        if len(keys) != len(values) or not all(isinstance(uid, str) for uid in (*keys, *values)):
            raise damaged(f"the arguments of the block {block['uid']!r} do not match")
        for key, value in zip(keys, values, strict=True):
            self._alias(key, value)

    def _results(self, root: str) -> list[str]:
        """Outputs of a function, by uid."""
        function = self._functions.get(root)
        if function is None:
            raise damaged(f"the function {root!r} is not there")
        if function["op"] == COMBINE:
            return list(function["inputs"])
        if function["op"] != BLOCK:
            return [f"{root}_Output_{index}" for index in range(_output_count(self._node(root, function)))]
        seen = root
        for _ in range(len(self._functions) + 1):
            inner = self._functions.get(_text(_dictionary(self._functions[seen], "block_function_composite"), "root"))
            if inner is None or inner["op"] != BLOCK:
                break
            seen = inner["uid"]
        else:
            raise damaged(f"the block {root!r} holds itself")
        if inner is None:
            raise damaged(f"the block {seen!r} has no root")
        return [f"{root}_Output_{index}" for index in range(len(self._results(inner["uid"])))]

    def _alias(self, key: str, value: str) -> None:
        if self._aliases.setdefault(key, value) != value:
            raise damaged(f"{key!r} stands for both {self._aliases[key]!r} and {value!r}")

    def _resolved(self, uid: str) -> str:
        start = uid
        for _ in range(len(self._aliases) + 1):
            if uid not in self._aliases:
                return uid
            uid = self._aliases[uid]
        raise damaged(f"{start!r} stands for itself")

    def _node(self, uid: str, function: dict[str, Any]) -> Node:
        return Node(
            uid=uid,
            name=str(function.get("name") or ""),
            op=function["op"],
            inputs=tuple(self._resolved(name) for name in function["inputs"]),
            attributes=Attributes(function["attributes"]),
        )

    def _outputs(self) -> tuple[Output, ...]:
        results = self._results(_text(self._tree, "root"))
        name = str(self._tree.get("name") or "")
        found = []
        for place, uid in enumerate(results):
            given, functions = self._origin(uid)
            found.append(Output(given or (name if len(results) == 1 else ""), self._resolved(uid), place, functions))
        return tuple(found)

    def _origin(self, uid: str) -> tuple[str, tuple[str, ...]]:
        """The name of the outermost function or variable that gives a value, and what these functions are.

        Beneath a function that passes its input on, or reduces it, those of the input are told as well, without names.
        """
        name, functions, outermost = "", list[str](), True
        for _ in range(len(self._aliases) + len(self._functions) + 1):
            if uid in self._variables and self._variables[uid].kind != PLACEHOLDER:
                return name or (self._variables[uid].name if outermost else ""), tuple(functions)
            function = self._functions.get(uid.rpartition("_Output_")[0])
            if function is not None:
                name = name or (str(function.get("name") or "") if outermost else "")
                functions.append(str(function.get("block_function_op_name", "")) or str(function["op"]))
            if uid in self._aliases:
                uid = self._aliases[uid]
            elif function is not None and function["op"] in _PASSING and function["inputs"]:
                uid, outermost = function["inputs"][0], False
            else:
                break
        return name, tuple(functions)


def _output_count(node: Node) -> int:
    if node.op == UNPACK_SEQUENCE:
        return 1 if node.attributes.peek("sequenceUnpackSuppressMaskOutput") is True else 2
    return 2 if node.op == TOP_K else 1


def _function(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("uid"), str):
        raise damaged("a function has no uid")
    uid = entry["uid"]
    kind = entry.get("type")
    if kind != "PrimitiveFunction":
        raise ConverterMissing(
            f"the CNTK model holds a function of the user's own: {uid!r} of type {kind!r}",
            hint="its code is not in the file; write it with CNTK's own operators and save the model again",
            detail={"node": uid},
        )
    op, inputs, attributes = entry.get("op"), entry.get("inputs", []), entry.get("attributes") or {}
    if not isinstance(op, int) or isinstance(op, bool):
        raise damaged(f"the function {uid!r} has the operator {op!r}")
    if not isinstance(inputs, list) or not all(isinstance(name, str) for name in inputs):
        raise damaged(f"the inputs of {uid!r} are no list of names")
    if not isinstance(attributes, dict):
        raise damaged(f"the attributes of {uid!r} are no dictionary")
    if op == COMBINE and attributes:
        raise damaged(f"{uid!r} has the attribute {next(iter(attributes))!r}")
    return {**entry, "op": op, "inputs": inputs, "attributes": attributes}


def _variable(entry: Any) -> Variable:
    if not isinstance(entry, dict) or not isinstance(entry.get("uid"), str):
        raise damaged("a variable has no uid")
    uid, shape, kind, value = entry["uid"], entry.get("shape"), entry.get("kind"), entry.get("value")
    axes = entry.get("dynamic_axis", [])
    if not isinstance(shape, Shape) or not isinstance(kind, int) or not isinstance(axes, list):
        raise damaged(f"the variable {uid!r} has no shape, kind or axes")
    if not all(isinstance(axis, Axis) for axis in axes) or not (value is None or isinstance(value, Tensor)):
        raise damaged(f"the variable {uid!r} has axes or a value of another kind")
    if kind not in range(5):
        raise damaged(f"the variable {uid!r} is of kind {kind}")
    data_type = entry.get("data_type", 0)
    if kind in (PARAMETER, CONSTANT) and (value is None or value.dims != shape.dims):
        raise damaged(f"the values of {uid!r} are not there, or of another shape")
    return Variable(
        uid=uid,
        name=str(entry.get("name") or ""),
        kind=kind,
        shape=shape.dims[::-1],
        dynamic=tuple(axis.name for axis in reversed(axes)),
        data_type=data_type if isinstance(data_type, int) else 0,
        sparse=entry.get("is_sparse") is True,
        value=value,
    )


def _list(tree: Mapping[str, Any], key: str) -> list[Any]:
    found = tree.get(key, [])
    if not isinstance(found, list):
        raise damaged(f"{key!r} is no list")
    return found


def _dictionary(tree: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = tree.get(key)
    if not isinstance(found, dict):
        raise damaged(f"{key!r} of {tree.get('uid')!r} is no dictionary")
    return found


def _text(tree: Mapping[str, Any], key: str) -> str:
    found = tree.get(key)
    if not isinstance(found, str) or not found:
        raise damaged(f"{key!r} of {tree.get('uid')!r} is no text")
    return found


def numpy_type(data_type: int, what: str) -> str:
    """The type of a variable's values.

    Raises:
        ConverterMissing: Half precision or whole numbers, for which there is no verified rule.
    """
    if data_type in (_FLOAT, _DOUBLE):
        return "float32" if data_type == _FLOAT else "float64"
    names = {0: "unknown", 4: "float16", 5: "int8", 6: "int16"}
    raise ConverterMissing(
        f"{what} is of type {names.get(data_type, data_type)}, which dray does not convert",
        hint="cast the model to float32 in CNTK and save it again; " + AGAIN,
    )


def reachable(model: Model, outputs: Iterable[Output]) -> Iterator[str]:
    """Uids of all that some outputs depend on."""
    waiting, seen = [output.uid for output in outputs], set[str]()
    while waiting:
        uid = waiting.pop()
        if uid not in seen:
            seen.add(uid)
            yield uid
            if (node := model.nodes.get(uid)) is not None:
                waiting.extend(node.inputs)
