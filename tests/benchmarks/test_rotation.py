from dataclasses import dataclass

from benchmarks.serving.cells import Cell, cell
from benchmarks.serving.contenders import Turn
from benchmarks.serving.rotation import by_model, turns
from tests.benchmarks.figures import turn

JSON, BINARY = cell("cnn-json-8"), cell("cnn-binary-8")


@dataclass
class Runner:
    name: str
    cells: tuple[Cell, ...] = (JSON, BINARY)

    def takes(self, cell: Cell) -> bool:
        return cell in self.cells

    def turn(self, cell: Cell, seconds: int) -> Turn:
        return turn(1)


def test_everyone_has_a_turn_in_every_round_and_another_one_begins() -> None:
    taken = [(number, one.name) for number, _, one in turns(3, [JSON], [Runner("a"), Runner("b"), Runner("c")])]

    assert [name for _, name in taken] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]


def test_a_contender_is_left_out_of_cells_that_it_does_not_take() -> None:
    taken = [
        (cell.encoding, one.name) for _, cell, one in turns(1, [JSON, BINARY], [Runner("a"), Runner("b", (JSON,))])
    ]

    assert taken == [("json", "a"), ("json", "b"), ("binary", "a")]


def test_cells_are_taken_model_by_model() -> None:
    grouped = by_model([JSON, cell("gbdt-json-1"), BINARY])

    assert grouped == {"cnn": [JSON, BINARY], "gbdt": [cell("gbdt-json-1")]}
