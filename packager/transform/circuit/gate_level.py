"""A netlist's answers: many rows at once, each net one Python integer with a bit for every row's own simulation.

Verilator makes a function's worth of C++ of each cell of a netlist, which takes minutes to compile, and a look-up table
is one expression: so the netlist is evaluated here. On the smallest circuit a test holds this to Verilator with
yosys' own models of the cells.
"""

from collections.abc import Sequence

import numpy as np

from packager.core.errors import CircuitUnfaithful
from packager.transform.circuit.gates import Gates, Memory
from packager.transform.circuit.network import Integers
from packager.transform.circuit.tracing import Port, Rtl

# Rows that follow each other in one simulation, a row in each cycle.
_BEATS = 4


def evaluate(gates: Gates, rtl: Rtl, rows: Integers, *, held: bool = False) -> Integers:
    """What the netlist of the stream module answers; if ``held``, answers are taken only when all rows are in.

    Raises:
        CircuitUnfaithful: Answers stay away, or the stream is not ready for a row in each cycle.
    """
    flat = rows.reshape(len(rows), rtl.input.count)
    lanes = -(-len(flat) // _BEATS)
    padded = np.resize(flat, (lanes * _BEATS, flat.shape[1])).reshape(lanes, _BEATS, -1)
    running = _Running(gates, lanes)
    asked = [_bits_of(padded[:, beat], rtl.input) for beat in range(_BEATS)]
    found = [_integers_of(bits, rtl.output, lanes) for bits in running.transfer(asked, rtl.latency, held=held)]
    answers = np.stack(found, axis=1).reshape(lanes * _BEATS, -1)[: len(flat)]
    return rtl.output.integers(answers)


class _Running:
    """The netlist in so many simulations side by side."""

    def __init__(self, gates: Gates, lanes: int) -> None:
        self.gates, self.ones = gates, (1 << lanes) - 1
        self.values = [0] * gates.nets
        self.values[1] = self.ones
        for register in gates.registers:
            self.values[register.output] = self.ones * register.initial
        self.memories = [[self.ones * (each.initial >> at & 1) for at in range(each.places)] for each in gates.memories]

    def transfer(self, asked: Sequence[Sequence[int]], latency: int, *, held: bool) -> list[list[int]]:
        """Bits of the answers to rows that are offered in consecutive cycles."""
        self._drive(s_axis_tvalid=0, m_axis_tready=0, rst=1)
        self._settle()
        self._tick()
        self._drive(rst=0)
        found: list[list[int]] = []
        taken_from = len(asked) + latency + 2 if held else 0
        for cycle in range(2 * len(asked) + latency + 4):
            offered, taken = cycle < len(asked), cycle >= taken_from
            self._drive(s_axis_tvalid=int(offered), m_axis_tready=int(taken))
            if offered:
                self._put("s_axis_tdata", asked[cycle])
            self._settle()
            if offered and self._get("s_axis_tready") != [self.ones]:
                raise _silent("is not ready for a row in each cycle")
            if taken and self._get("m_axis_tvalid") == [self.ones]:
                found.append(self._get("m_axis_tdata"))
            self._tick()
        if len(found) != len(asked):
            raise _silent(f"answers {len(found)} of {len(asked)} rows")
        return found

    def _drive(self, **ports: int) -> None:
        for name, bit in ports.items():
            self._put(name, [self.ones * bit])

    def _put(self, port: str, bits: Sequence[int]) -> None:
        for net, bit in zip(self.gates.ports[port], bits, strict=True):
            self.values[net] = bit

    def _get(self, port: str) -> list[int]:
        return [self.values[net] for net in self.gates.ports[port]]

    def _settle(self) -> None:
        values, ones = self.values, self.ones
        for node in self.gates.nodes:
            inputs = [values[net] for net in node.inputs]
            if node.memory is None:
                values[node.output] = _looked_up(node.table, inputs, len(inputs), ones)
            else:
                values[node.output] = _selected(self.memories[node.memory], inputs, ones)

    def _tick(self) -> None:
        values, ones = self.values, self.ones
        taken = []
        for each in self.gates.registers:
            enable, force = values[each.enable], values[each.force]
            kept = (values[each.data] & enable) | (values[each.output] & ~enable)
            taken.append((kept & ~force) | (force if each.forced else 0))
        for memory, words in zip(self.gates.memories, self.memories, strict=True):
            self._write(memory, words)
        for each, value in zip(self.gates.registers, taken, strict=True):
            values[each.output] = value & ones

    def _write(self, memory: Memory, words: list[int]) -> None:
        enable, data = self.values[memory.enable], self.values[memory.data]
        if memory.shifts:
            before = [data, *words[:-1]]
            words[:] = [(new & enable) | (old & ~enable) for new, old in zip(before, words, strict=True)]
            return
        address = [self.values[net] for net in memory.write_to]
        for place, word in enumerate(words):
            here = enable
            for at, bit in enumerate(address):
                here &= bit if place >> at & 1 else ~bit
            words[place] = (data & here) | (word & ~here)


def _looked_up(table: int, inputs: Sequence[int], count: int, ones: int) -> int:
    """A truth table's answer, the highest input first: most tables need few of their inputs on most ways."""
    if not table:
        return 0
    if table == (1 << (1 << count)) - 1:
        return ones
    half = 1 << (count - 1)
    low, high = table & ((1 << half) - 1), table >> half
    if low == high:
        return _looked_up(low, inputs, count - 1, ones)
    key = inputs[count - 1]
    set_, clear = _looked_up(high, inputs, count - 1, ones), _looked_up(low, inputs, count - 1, ones)
    return (key & set_) | (clear & ~key)


def _selected(words: Sequence[int], address: Sequence[int], ones: int) -> int:
    """The word at an address, whose lowest bit is the first."""
    level = list(words)
    for bit in address:
        level = [(high & bit) | (low & ~bit & ones) for low, high in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def _bits_of(rows: Integers, port: Port) -> list[int]:
    """For each bit of a port, an integer of all rows' values of that bit."""
    columns = (rows[:, :, None] >> np.arange(port.bits)) & 1
    return [_packed(bits) for bits in columns.reshape(len(rows), -1).T]


def _packed(bits: Integers) -> int:
    return int.from_bytes(np.packbits(bits.astype(np.uint8), bitorder="little").tobytes(), "little")


def _integers_of(bits: Sequence[int], port: Port, lanes: int) -> Integers:
    size = -(-lanes // 8)
    raw = np.frombuffer(b"".join(bit.to_bytes(size, "little") for bit in bits), np.uint8).reshape(len(bits), size)
    single = np.unpackbits(raw, axis=1, bitorder="little")[:, :lanes].astype(np.int64)
    weights = np.left_shift(np.int64(1), np.arange(port.bits, dtype=np.int64))
    if port.signed:
        weights[-1] = -weights[-1]
    return np.asarray(np.einsum("cbl,b->lc", single.reshape(port.count, port.bits, lanes), weights), np.int64)


def _silent(what: str) -> CircuitUnfaithful:
    return CircuitUnfaithful(f"the synthesised circuit {what}", hint="report it with the model")
