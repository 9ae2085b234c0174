"""What a deployment's record remembers of releases that come and go."""

import pytest

from packager.core.errors import DeploymentFailed
from targets.kit.kubernetes.record import Record
from targets.kit.kubernetes.settings import KubernetesSettings
from tests.support.kubernetes_wanted import served

OLD, NEW = served(KubernetesSettings(), version="1"), served(KubernetesSettings(), version="2")


def test_trial_that_is_taken_has_the_live_one_before_it() -> None:
    record = Record(serial=2, slot="a", live=OLD, trial=NEW, trial_slot="b", holder="x").taken()

    assert (record.live, record.previous, record.slot, record.trial, record.holder) == (NEW, OLD, "b", None, "")


def test_same_release_once_more_keeps_what_was_before() -> None:
    later = NEW.model_copy(update={"created": "2026-01-01T00:00:00+00:00"})

    record = Record(live=NEW, trial=later, previous=OLD).taken()

    assert (record.live, record.previous) == (later, OLD)


def test_trial_that_is_undone_leaves_no_trace() -> None:
    before = Record(serial=2, slot="b", live=OLD, trial_slot="b", previous=NEW)
    begun = before.model_copy(update={"trial": NEW, "trial_slot": "a", "holder": "x"})

    assert begun.undone() == before


def test_record_that_was_changed_by_hand_is_refused() -> None:
    with pytest.raises(DeploymentFailed, match="cannot be read") as caught:
        Record.parse("{", "iris")

    assert "app.kubernetes.io/instance" in caught.value.hint
