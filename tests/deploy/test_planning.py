"""What a plan says before anything changes."""

import pytest

from packager.core.artifact import Release
from packager.core.deployment import Finding
from packager.core.errors import DeploymentFailed, DrayError, EnvironmentMissing, PortInUse
from packager.deploy import check, plan
from tests.support.fakes import MemorySettings, MemoryTarget

SETTINGS = MemorySettings()


def deployed(*names: str, release: Release) -> MemoryTarget:
    target = MemoryTarget()
    target.live = dict.fromkeys(names, (release, SETTINGS))
    return target


def test_new_name_close_to_an_existing_one_is_noticed(one: Release) -> None:
    made = plan(deployed("churn", "fraud", release=one), "chrun", one, SETTINGS)

    assert [finding.code for finding in made.findings] == ["E-CLOSE-NAME"]
    assert made.findings[0].message == "'chrun' is new and stands close to 'churn', which is deployed already"
    assert made.findings[0].hint.endswith("-n churn")
    assert not made.findings[0].blocking


@pytest.mark.parametrize("name", ["churn", "weather"])
def test_existing_and_far_names_are_not_remarked(one: Release, name: str) -> None:
    assert plan(deployed("churn", release=one), name, one, SETTINGS).findings == ()


def test_other_signature_needs_agreement_and_shows_the_difference(one: Release, wider: Release) -> None:
    made = plan(deployed("churn", release=one), "churn", wider, SETTINGS)

    assert made.confirm == ("the signature changes: input 'X' becomes FP32[-1, 6], was FP32[-1, 4]",)


def test_same_signature_needs_no_agreement(one: Release, two: Release) -> None:
    assert plan(deployed("churn", release=one), "churn", two, SETTINGS).confirm == ()


@pytest.mark.parametrize(
    ("code", "kind"),
    [("E-NOT-INSTALLED", EnvironmentMissing), ("E-PORT-IN-USE", PortInUse), ("E-OF-A-PLUGIN", DeploymentFailed)],
)
def test_blocking_finding_is_the_error_of_its_code(code: str, kind: type[DrayError]) -> None:
    target = MemoryTarget()
    target.findings = (
        Finding("E-NOTE", "good to know"),
        Finding(code, "cannot go on", hint="do this", blocking=True),
        Finding("E-QUOTA", "no quota", blocking=True),
    )

    with pytest.raises(kind) as caught:
        check(target, SETTINGS)

    assert type(caught.value) is kind
    assert caught.value.message == "cannot go on (and 1 more)"
    assert caught.value.hint == "do this"
    assert [finding["code"] for finding in caught.value.detail["findings"]] == [code, "E-QUOTA"]
