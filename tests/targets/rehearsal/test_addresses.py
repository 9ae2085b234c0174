"""Loopback addresses that stand-ins give away."""

import socket
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.core.errors import EnvironmentMissing
from packager.core.progress import SilentProgress
from targets.rehearsal import opening
from targets.rehearsal.addresses import Addresses, PortTaken
from targets.rehearsal.aks import AksRehearsal
from targets.rehearsal.arm.errors import port_in_use_here

NETWORK = "127.76"
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")


@pytest.fixture
def addresses() -> Iterator[Addresses]:
    made = Addresses(network=NETWORK, seed="a")
    yield made
    made.close()


@linux
def test_a_port_that_is_taken_on_every_address_is_told_as_such(addresses: Addresses) -> None:
    with socket.socket() as program:
        program.bind(("0.0.0.0", 0))
        program.listen()
        with pytest.raises(PortTaken, match=r"listens on port .* on every address") as caught:
            addresses.take("churn", (program.getsockname()[1],))
    assert port_in_use_here(caught.value).code == "PortInUseOnThisMachine"


@linux
@given(st.lists(st.none() | st.sampled_from(["a", "b", "c"]), max_size=40))
def test_no_two_have_one_address(labels: list[str | None]) -> None:
    addresses = Addresses(network=NETWORK)
    taken = [addresses.take(label, ()) for label in labels]
    assert len(set(taken)) == len(taken)
    assert all(each.startswith(f"{NETWORK}.") and not each.endswith((".0", ".255")) for each in taken)


@linux
def test_stand_ins_at_the_same_time_give_away_different_addresses_of_one_seed(addresses: Addresses) -> None:
    other = Addresses(network=NETWORK, seed="a")
    mine, others = ({each.take(None, ()) for _ in range(300)} for each in (addresses, other))
    other.close()
    assert len(mine) == len(others) == 300
    assert not mine & others


@linux
def test_a_label_has_its_address_again_once_it_is_free(addresses: Addresses) -> None:
    first = addresses.take("churn", ())
    assert addresses.take("churn", ()) != first
    addresses.give_back(first)
    assert addresses.take("churn", ()) == first
    addresses.close()
    later = Addresses(network=NETWORK, seed="a")
    assert later.take("churn", ()) == first
    later.close()


@linux
def test_an_address_on_which_something_listens_is_passed_over(addresses: Addresses) -> None:
    first = addresses.take("churn", ())
    addresses.give_back(first)
    with socket.create_server((first, 0)) as taken:
        second = addresses.take("churn", (taken.getsockname()[1],))
    assert second != first


def test_elsewhere_there_is_one_address() -> None:
    addresses = Addresses(network=NETWORK, whole_network=False)
    assert [addresses.take("a", ()), addresses.take(None, (80,))] == ["127.0.0.1"] * 2


def test_a_cluster_is_not_rehearsed_where_there_is_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "WHOLE_NETWORK", False)
    with pytest.raises(EnvironmentMissing, match="a rehearsal of aks needs Linux") as caught:
        AksRehearsal().open((), SilentProgress())
    assert "virtual machine" in caught.value.hint
