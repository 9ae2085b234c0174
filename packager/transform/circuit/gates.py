"""A synthesised netlist as it can be evaluated: truth tables in an order that works, registers, and small memories."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from packager.core.errors import CircuitUnfaithful

# Numbers of nets: yosys begins at 2, and constants are strings.
_CONSTANTS = {"0": 0, "1": 1, "x": 0, "z": 0}
# Truth tables, bit n the answer to inputs that read n: what is not a look-up table is one as well.
_NOT, _XOR, _OR = 0b01, 0b0110, 0b1110
_SELECT = 0b11001010  # the second input where the third is set, the first elsewhere
_MUXES = ("MUXF7", "MUXF8", "MUXF9")
# Registers: the pin that sets them at the clock, and to what.
_REGISTERS = {"FDRE": ("R", 0), "FDSE": ("S", 1)}
# Memories: their parts, bits of a word in each, bits of an address. The last part's address is the one written to.
_MEMORIES = {
    "RAM32M": ("ABCD", 2, 5),
    "RAM32M16": ("ABCDEFGH", 2, 5),
    "RAM64M": ("ABCD", 1, 6),
    "RAM64M8": ("ABCDEFGH", 1, 6),
}
_SHIFTS = {"SRL16E": 4, "SRLC32E": 5}
# Notes of yosys, not logic; and what only passes a net on.
_NOTES = frozenset({"$scopeinfo"})
_BUFFERS = frozenset({"BUFG", "IBUF", "OBUF"})


@dataclass(frozen=True, slots=True)
class Register:
    """Takes ``data`` at the clock where ``enable`` is set; where ``force`` is set, ``forced``."""

    output: int
    data: int
    enable: int
    force: int
    forced: int
    initial: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Words of a bit: read at any time, written at the clock; one that ``shifts`` moves all its words up instead."""

    places: int
    data: int
    enable: int
    write_to: tuple[int, ...]
    initial: int
    shifts: bool


@dataclass(frozen=True, slots=True)
class Node:
    """One net as a function of others: by truth table, or by address from the memory of this number."""

    output: int
    inputs: tuple[int, ...]
    table: int = 0
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Gates:
    """``nodes`` are ordered: each comes after those that it reads."""

    nets: int
    ports: Mapping[str, tuple[int, ...]]
    nodes: tuple[Node, ...]
    registers: tuple[Register, ...]
    memories: tuple[Memory, ...]


def gates_of(document: Mapping[str, Any], top: str) -> Gates:
    """The module of yosys' JSON netlist.

    Raises:
        CircuitUnfaithful: It holds a cell that is not known here, or a loop without a register.
    """
    module = document["modules"][top]
    building = _Building(itertools.count(_first_free(module)))
    for cell in module["cells"].values():
        building.add(
            cell["type"], cell["parameters"], {name: _nets(bits) for name, bits in cell["connections"].items()}
        )
    ports = {name: _nets(port["bits"]) for name, port in module["ports"].items()}
    nodes = tuple(_ordered(building.nodes))
    return Gates(next(building.free), ports, nodes, tuple(building.registers), tuple(building.memories))


@dataclass(slots=True)
class _Building:
    free: Iterator[int]
    nodes: list[Node] = field(default_factory=list)
    registers: list[Register] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)

    def add(self, kind: str, parameters: Mapping[str, Any], pins: Mapping[str, tuple[int, ...]]) -> None:
        if kind in _NOTES:
            return
        inverted = [name for name, value in parameters.items() if name.endswith("_INVERTED") and _number(value)]
        if inverted:
            raise _unknown(f"{kind} with {inverted[0]}")
        if kind in {"LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6"}:
            inputs = tuple(pins[f"I{at}"][0] for at in range(int(kind[-1])))
            self.nodes.append(Node(pins["O"][0], inputs, _number(parameters["INIT"])))
        elif kind == "INV":
            self.nodes.append(Node(pins["O"][0], pins["I"], _NOT))
        elif kind in _BUFFERS:
            self.nodes.append(Node(pins["O"][0], pins["I"], 0b10))
        elif kind in _MUXES:
            self.nodes.append(Node(pins["O"][0], (*pins["I0"], *pins["I1"], *pins["S"]), _SELECT))
        elif kind in {"CARRY4", "CARRY8"}:
            self._carry(pins)
        elif kind in _REGISTERS:
            self._register(kind, parameters, pins)
        elif kind in _MEMORIES:
            self._memory(kind, parameters, pins)
        elif kind in _SHIFTS:
            self._shift(kind, parameters, pins)
        else:
            raise _unknown(kind)

    def _carry(self, pins: Mapping[str, tuple[int, ...]]) -> None:
        """Bit by bit, so that a bit of a chain may depend on a lower one's answer."""
        carry = next(self.free)
        self.nodes.append(Node(carry, (_pin(pins, "CI"), _pin(pins, "CYINIT")), _OR))
        sums, carries = pins.get("O", ()), pins.get("CO", ())
        for at, (select, data) in enumerate(zip(pins["S"], pins["DI"], strict=True)):
            if at < len(sums):
                self.nodes.append(Node(sums[at], (select, carry), _XOR))
            after = carries[at] if at < len(carries) else next(self.free)
            self.nodes.append(Node(after, (data, carry, select), _SELECT))
            carry = after

    def _register(self, kind: str, parameters: Mapping[str, Any], pins: Mapping[str, tuple[int, ...]]) -> None:
        force, forced = _REGISTERS[kind]
        initial = _number(parameters.get("INIT", "x"))
        enable = _pin(pins, "CE", absent=1)
        self.registers.append(Register(pins["Q"][0], _pin(pins, "D"), enable, _pin(pins, force), forced, initial))

    def _memory(self, kind: str, parameters: Mapping[str, Any], pins: Mapping[str, tuple[int, ...]]) -> None:
        parts, width, address_bits = _MEMORIES[kind]
        for part, bit in itertools.product(parts, range(width)):
            outputs = pins.get(f"DO{part}", ())
            if bit >= len(outputs):
                continue
            initial = _number(parameters.get(f"INIT_{part}", "0"))
            spread = sum((initial >> (place * width + bit) & 1) << place for place in range(1 << address_bits))
            data = pins[f"DI{part}"][bit]
            memory = Memory(1 << address_bits, data, pins["WE"][0], pins[f"ADDR{parts[-1]}"], spread, shifts=False)
            self._read(memory, outputs[bit], pins[f"ADDR{part}"])

    def _shift(self, kind: str, parameters: Mapping[str, Any], pins: Mapping[str, tuple[int, ...]]) -> None:
        bits = _SHIFTS[kind]
        if pins.get("Q31"):
            raise _unknown(f"{kind} in a chain")
        address = pins["A"] if "A" in pins else tuple(pins[f"A{at}"][0] for at in range(bits))
        initial = _number(parameters.get("INIT", "0"))
        memory = Memory(1 << bits, pins["D"][0], _pin(pins, "CE", absent=1), (), initial, shifts=True)
        self._read(memory, pins["Q"][0], address)

    def _read(self, memory: Memory, output: int, address: Sequence[int]) -> None:
        self.nodes.append(Node(output, tuple(address), memory=len(self.memories)))
        self.memories.append(memory)


def _ordered(nodes: Sequence[Node]) -> Iterator[Node]:
    """Each node after those that give its inputs."""
    makers = {node.output: node for node in nodes}
    waiting = {node.output: sum(net in makers for net in node.inputs) for node in nodes}
    readers: dict[int, list[int]] = {}
    for node in nodes:
        for net in node.inputs:
            readers.setdefault(net, []).append(node.output)
    ready = [net for net, count in waiting.items() if count == 0]
    done = 0
    while ready:
        net = ready.pop()
        done += 1
        yield makers[net]
        for reader in readers.get(net, ()):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                ready.append(reader)
    if done != len(nodes):
        raise CircuitUnfaithful("the netlist has a loop without a register", hint="report it with the model")


def _first_free(module: Mapping[str, Any]) -> int:
    bits = (pin for cell in module["cells"].values() for pins in cell["connections"].values() for pin in pins)
    ports = (bit for port in module["ports"].values() for bit in port["bits"])
    return max((bit for bit in itertools.chain(bits, ports) if isinstance(bit, int)), default=1) + 1


def _nets(bits: Sequence[int | str]) -> tuple[int, ...]:
    return tuple(bit if isinstance(bit, int) else _CONSTANTS[bit] for bit in bits)


def _pin(pins: Mapping[str, tuple[int, ...]], name: str, *, absent: int = 0) -> int:
    return pins[name][0] if pins.get(name) else absent


def _number(value: int | str) -> int:
    """A parameter: yosys writes its bits as text, those that do not matter as x."""
    return value if isinstance(value, int) else int(value.replace("x", "0").replace("z", "0") or "0", 2)


def _unknown(what: str) -> CircuitUnfaithful:
    return CircuitUnfaithful(
        f"the netlist holds {what}, which cannot be evaluated here", hint="report it with the model"
    )
