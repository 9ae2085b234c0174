import pytest

from targets.kit.engine.process import ProcessIdentity
from targets.rehearsal import life as module
from targets.rehearsal.life import Life

OPENER = ProcessIdentity(pid=1, created=0.0)


class World:
    """A clock and a command that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.opener_lives = True
        self.life = Life(alive=lambda identity: self.opener_lives, clock=lambda: self.now)

    def over_after(self, seconds: float) -> bool:
        self.now += seconds
        return self.life.over()


@pytest.fixture
def world() -> World:
    return World()


def test_it_lives_while_it_holds_anything(world: World) -> None:
    world.life.hold(1)
    assert not world.over_after(10 * module.IDLE_S)


def test_it_ends_a_little_after_the_last_request_once_nothing_is_held(world: World) -> None:
    world.life.open(OPENER)
    world.life.hold(1)
    world.life.hold(0)
    assert not world.over_after(module.LINGER_S - 0.1)
    world.life.begin_request()
    assert not world.over_after(module.LINGER_S)
    world.life.end_request()
    assert not world.over_after(module.LINGER_S - 0.1)
    assert world.over_after(0.1)


def test_it_waits_for_who_opened_it(world: World) -> None:
    world.life.open(OPENER)
    assert not world.over_after(module.IDLE_S - 1)
    world.opener_lives = False
    assert world.over_after(0)


def test_nobody_waits_for_ever(world: World) -> None:
    world.life.open(OPENER)
    assert world.over_after(module.IDLE_S)


def test_one_that_is_opened_again_after_its_last_deployment_goes_on(world: World) -> None:
    world.life.hold(1)
    world.life.hold(0)
    world.life.open(OPENER)
    assert not world.over_after(2 * module.LINGER_S)


def test_one_that_a_stranger_uses_ends_when_he_is_quiet_for_long(world: World) -> None:
    assert not world.over_after(module.STRANGERS_S - 1)
    assert world.over_after(1)


def test_no_request_is_taken_once_it_ends(world: World) -> None:
    world.life.hold(1)
    assert world.life.begin_request()
    world.life.end()
    assert world.life.over()
    assert not world.life.begin_request()
