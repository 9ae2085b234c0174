"""Who changes a deployment: told to others, taken over from the dead."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from packager.core.errors import DeploymentBusy
from targets.kit.holder import Holder, refuse_if_held


@pytest.mark.parametrize("who", ["ada", "ж" * 60])
def test_what_is_written_is_read_again(who: str) -> None:
    holder = replace(Holder.me(limit_s=86400), who=who, host="ü" * 60)

    assert Holder.parse(str(holder)) == holder
    assert len(str(holder)) <= 256


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"who": "x"}'])
def test_anything_else_is_nobody(text: str) -> None:
    assert Holder.parse(text) is None


def test_a_process_does_not_stand_in_its_own_way() -> None:
    refuse_if_held("churn", "aci", Holder.me(limit_s=60))
    refuse_if_held("churn", "aci", None)


def test_another_process_of_this_machine_holds_while_it_lives() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]) as other:
        holder = replace(Holder.me(limit_s=0), pid=other.pid, began=psutil.Process(other.pid).create_time())

        with pytest.raises(DeploymentBusy, match=str(other.pid)) as caught:
            refuse_if_held("churn", "aci", holder)
        other.kill()

    assert caught.value.detail["since"] == holder.since
    refuse_if_held("churn", "aci", holder)


def test_a_process_id_that_was_given_again_is_not_the_holder() -> None:
    refuse_if_held("churn", "aci", replace(Holder.me(limit_s=60), pid=os.getppid(), began=1.0))


def test_a_command_of_another_machine_holds_until_its_time_is_long_over() -> None:
    elsewhere = replace(Holder.me(limit_s=60), host="another-machine")
    since = datetime.fromisoformat(elsewhere.since)

    assert elsewhere.at_work(datetime.now(UTC))
    with pytest.raises(DeploymentBusy) as caught:
        refuse_if_held("churn", "aci", elsewhere)
    assert caught.value.hint.endswith(f"from {since + timedelta(seconds=120):%H:%M} UTC on it counts as dead")
    assert not elsewhere.at_work(since + timedelta(seconds=121))
    assert not replace(elsewhere, since="yesterday").at_work()
