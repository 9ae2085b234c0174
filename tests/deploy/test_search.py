"""Deployments are found by name, wherever they are."""

import pytest

from packager.core.artifact import Release
from packager.core.deployment import Deployment
from packager.core.errors import DeploymentError, DeploymentMissing, UsageError
from packager.deploy import find, find_all
from tests.support.fakes import MemorySettings, MemoryTarget


class Unreachable(MemoryTarget):
    def inspect(self, name: str, settings: MemorySettings) -> Deployment | None:
        raise DeploymentError("no credentials")


def holding(target: str, *names: str, release: Release) -> MemoryTarget:
    made = MemoryTarget(target)
    made.live = {name: (release, MemorySettings()) for name in names}
    return made


def test_name_is_found_in_whichever_target_has_it(one: Release) -> None:
    here, there = holding("here", "fraud", release=one), holding("there", "churn", release=one)

    target, deployment = find("churn", [here, there, Unreachable("gone")])

    assert target is there
    assert (deployment.name, deployment.target) == ("churn", "there")


def test_name_in_two_targets_asks_which(one: Release) -> None:
    here, there = holding("here", "churn", release=one), holding("there", "churn", release=one)

    with pytest.raises(UsageError) as caught:
        find("churn", [here, there])

    assert caught.value.code == "E-USAGE"
    assert caught.value.message == "'churn' is deployed to 2 targets: here (memory://churn), there (memory://churn)"
    assert caught.value.hint == "say which: -t here or -t there"


def test_unknown_name_offers_the_nearest_and_tells_who_could_not_be_asked(one: Release) -> None:
    with pytest.raises(DeploymentMissing) as caught:
        find("chrun", [holding("here", "churn", release=one), Unreachable("gone")])

    assert caught.value.code == "E-NO-DEPLOYMENT"
    assert caught.value.message == "no deployment 'chrun' on here; gone could not be asked: no credentials"
    assert caught.value.hint == "did you mean 'churn'?"


class Located(MemorySettings):
    place: str


def test_target_whose_place_is_a_setting_could_not_be_asked(one: Release) -> None:
    elsewhere = MemoryTarget("elsewhere")
    elsewhere.settings_type = Located  # type: ignore[misc]

    with pytest.raises(DeploymentMissing) as caught:
        find("churn", [holding("here", release=one), elsewhere])

    assert "where 'elsewhere' is depends on its setting 'place'" in caught.value.message
    assert find("churn", [holding("here", "churn", release=one), elsewhere])[1].target == "here"


def test_all_deployments_come_by_target_and_name(one: Release) -> None:
    here, there = holding("here", "b", "a", release=one), holding("there", "c", release=one)

    found = find_all([there, here])

    assert [(deployment.target, deployment.name) for deployment in found] == [
        ("here", "a"),
        ("here", "b"),
        ("there", "c"),
    ]
