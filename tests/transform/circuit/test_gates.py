"""A netlist that yosys made is evaluated here, without yosys: its answers are the integer reference's."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from packager.core.errors import CircuitUnfaithful
from packager.transform.circuit import reference
from packager.transform.circuit.fixing import Widths, fixed
from packager.transform.circuit.frontend import cut
from packager.transform.circuit.gate_level import evaluate
from packager.transform.circuit.gates import Gates, gates_of
from packager.transform.circuit.ir import Circuit
from packager.transform.circuit.tracing import Port, Rtl, traced, written
from packager.transform.circuit.verify import rows_for
from tests.support.circuits import mlp

NETLIST = Path(__file__).parents[2] / "fixtures" / "circuits" / "tiny-netlist.json"
BIT = Port(1, 1, signed=False, shift=0)


def tiny() -> tuple[Circuit, Rtl, np.ndarray, Gates]:
    network = cut(mlp((3, 2, 2))).network
    samples = np.random.default_rng(3).normal(size=(60, 3))
    circuit = fixed(network, samples, Widths.of(3))
    rows = rows_for(circuit, reference.quantise(samples, circuit.format))
    gates = gates_of(json.loads(NETLIST.read_text()), "dray_tiny_stream")
    return circuit, written(traced(circuit, "tiny")), rows, gates


def test_a_netlist_answers_as_the_reference_does() -> None:
    circuit, rtl, rows, gates = tiny()
    assert np.array_equal(evaluate(gates, rtl, rows), reference.run(circuit, rows))
    assert np.array_equal(evaluate(gates, rtl, rows, held=True), reference.run(circuit, rows))
    assert np.array_equal(evaluate(gates, rtl, rows[:1]), reference.run(circuit, rows[:1]))


def test_nearly_all_broken_tables_are_seen() -> None:
    circuit, rtl, rows, gates = tiny()
    expected, read = reference.run(circuit, rows), _read(gates)
    tables = [at for at, node in enumerate(gates.nodes) if node.output in read and len(node.inputs) in (2, 3, 4)][::4]
    seen = sum(_differs(_broken(gates, at), rtl, rows, expected) for at in tables)
    # The others steer a stream that is fuller than here.
    assert seen >= 0.85 * len(tables)


def _read(gates: Gates) -> set[int]:
    """Nets that the answers depend on: of a carry chain, not all are used."""
    nets = {net for name in ("s_axis_tready", "m_axis_tdata", "m_axis_tvalid") for net in gates.ports[name]}
    count = 0
    while count != len(nets):
        count = len(nets)
        for each in gates.registers:
            nets |= {each.data, each.enable, each.force} if each.output in nets else set()
        for node in reversed(gates.nodes):
            memory = gates.memories[node.memory] if node.memory is not None else None
            if node.output in nets:
                nets |= {*node.inputs, *((memory.data, memory.enable, *memory.write_to) if memory else ())}
    return nets


def _broken(gates: Gates, at: int) -> Gates:
    """The netlist with one table turned over."""
    nodes = list(gates.nodes)
    nodes[at] = dataclasses.replace(nodes[at], table=~nodes[at].table & ((1 << (1 << len(nodes[at].inputs))) - 1))
    return dataclasses.replace(gates, nodes=tuple(nodes))


def _differs(gates: Gates, rtl: Rtl, rows: np.ndarray, expected: np.ndarray) -> bool:
    try:
        return any(not np.array_equal(evaluate(gates, rtl, rows, held=held), expected) for held in (False, True))
    except CircuitUnfaithful:  # the stream itself was broken
        return True


def _netlist(cells: dict[str, Any]) -> dict[str, Any]:
    """A stream of one bit in at net 4 and valid at 5; out at net 6, valid at 7."""
    bits = {
        "clk": [2], "rst": [3], "s_axis_tdata": [4], "s_axis_tvalid": [5], "s_axis_tready": ["1"],
        "m_axis_tdata": [6], "m_axis_tvalid": [7], "m_axis_tready": [8],
    }  # fmt: skip
    ports = {name: {"bits": value} for name, value in bits.items()}
    return {"modules": {"top": {"ports": ports, "cells": cells}}}


def _cell(kind: str, pins: dict[str, list[int | str]], **parameters: str) -> dict[str, Any]:
    return {"type": kind, "parameters": parameters, "connections": pins}


def _delay(source: int, answer: int) -> dict[str, Any]:
    place: dict[str, list[int | str]] = {"A0": ["0"], "A1": ["1"], "A2": ["0"], "A3": ["0"]}
    return _cell("SRL16E", {"D": [source], "CE": ["1"], "CLK": [2], "Q": [answer], **place})


def test_a_shift_register_delays_by_its_address() -> None:
    rows = np.array([[1], [0], [1], [1], [0], [0], [1]])
    mux = _cell("MUXF7", {"I0": [9], "I1": ["1"], "S": ["0"], "O": [10]})
    inverter = _cell("INV", {"I": [10], "O": [6]})
    gates = gates_of(_netlist({"a": _delay(4, 9), "b": _delay(5, 7), "c": mux, "d": inverter}), "top")
    rtl = Rtl({}, "top", BIT, BIT, latency=3, registers=0, luts=0)
    assert np.array_equal(evaluate(gates, rtl, rows), 1 - rows)


def test_a_netlist_that_never_answers_is_told() -> None:
    gates = gates_of(_netlist({"a": _delay(4, 6), "b": _cell("INV", {"I": ["1"], "O": [7]})}), "top")
    rtl = Rtl({}, "top", BIT, BIT, latency=3, registers=0, luts=0)
    with pytest.raises(CircuitUnfaithful, match="answers 0 of 4 rows"):
        evaluate(gates, rtl, np.zeros((4, 1), np.int64))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (_cell("DSP48E2", {"P": [6]}), "holds DSP48E2"),
        (_cell("FDRE", {"D": [4], "Q": [6]}, IS_C_INVERTED="1"), "FDRE with IS_C_INVERTED"),
        (_cell("INV", {"I": [6], "O": [6]}), "a loop without a register"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(cell: dict[str, Any], said: str) -> None:
    with pytest.raises(CircuitUnfaithful, match=said):
        gates_of(_netlist({"a": cell}), "top")
