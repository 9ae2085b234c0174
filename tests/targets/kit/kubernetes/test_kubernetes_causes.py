"""Why a pod does not come up: told by what the kubelet writes, in the words of several versions."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from packager.core.errors import (
    ArchitectureMissing,
    ContainerConfig,
    DrayError,
    ImageMissing,
    LivenessFailed,
    OutOfMemory,
    ProcessCrash,
    PullDenied,
    RegistryUnavailable,
    Unschedulable,
)
from targets.kit.kubernetes.causes import Patience, cause_of, is_ready
from targets.kit.kubernetes.cluster import Cluster


@dataclass
class Noticed:
    """What a cluster would answer about a pod."""

    told: tuple[str, ...] = ()
    lines: tuple[str, ...] = field(default=())

    def events(self, kind: str, name: str) -> tuple[str, ...]:
        return self.told

    def log(self, pod: str, container: str, *, tail: int | None = None, previous: bool = False) -> tuple[str, ...]:
        return self.lines


def pod(state: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    container = {"name": "runtime", "ready": False, "restartCount": 0, "state": state or {}, **given}
    limits = {"limits": {"memory": "256Mi"}}
    return {
        "metadata": {"name": "iris-1"},
        "spec": {"containers": [{"image": "registry.example/iris", "resources": limits}]},
        "status": {"containerStatuses": [container]},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return pod({"waiting": {"reason": reason, "message": message}})


def cause(of: dict[str, Any], noticed: Noticed | None = None, patience: float = 0.0) -> DrayError | None:
    return cause_of(of, cast(Cluster, noticed or Noticed()), Patience(patience), 0.0)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("failed to authorize: failed to fetch anonymous token: 401 Unauthorized", PullDenied),
        ("pull access denied, repository does not exist or may require authorization", PullDenied),
        ("rpc error: code = NotFound desc = registry.example/iris: not found", ImageMissing),
        ("manifest unknown: manifest tagged by v9 is not found", ImageMissing),
        ("no match for platform in manifest: not found", ArchitectureMissing),
        ("dial tcp 10.0.0.9:443: i/o timeout", RegistryUnavailable),
    ],
)
@pytest.mark.parametrize("where", ["state", "event"])
def test_pull_that_fails_says_why(words: str, kind: type[DrayError], where: str) -> None:
    told = (f'Failed: Failed to pull image "registry.example/iris": {words}', "Failed: Error: ErrImagePull")
    of = waiting("ErrImagePull", words) if where == "state" else waiting("ImagePullBackOff", "Back-off pulling image")

    found = cause(of, Noticed(told if where == "event" else ()))

    assert type(found) is kind
    assert words in found.message


def test_registry_with_a_weak_moment_is_waited_for() -> None:
    of, patience = waiting("ErrImagePull", "503 Service Unavailable"), Patience(10.0)
    ask = [cause_of(of, cast(Cluster, Noticed()), patience, now) for now in (0.0, 9.0, 10.0)]

    assert [type(each) for each in ask] == [type(None), type(None), RegistryUnavailable]


def test_crash_is_told_with_the_last_line_of_its_log() -> None:
    ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
    of = pod({"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended, restartCount=2)

    found = cause(of, Noticed(lines=("starting", "E-PACKAGE-DAMAGED: digest differs")))

    assert isinstance(found, ProcessCrash)
    assert found.message.endswith("exit status 3 before it was ready: E-PACKAGE-DAMAGED: digest differs")
    assert found.detail["log"][0] == "starting"


def test_first_crash_may_have_been_an_accident() -> None:
    assert cause(pod({"terminated": {"exitCode": 1, "reason": "Error"}})) is None


def test_end_out_of_memory_names_the_limit() -> None:
    found = cause(pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}))

    assert isinstance(found, OutOfMemory)
    assert "256Mi" in found.message


def test_other_processor_is_told_by_the_log() -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    of = pod({"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended, restartCount=1)

    assert isinstance(cause(of, Noticed(lines=("exec /usr/bin/python: exec format error",))), ArchitectureMissing)


@pytest.mark.parametrize(("kind", "hint"), [("liveness", "it hangs"), ("startup", "startup_s=N")])
def test_probe_that_ends_the_runtime_is_told(kind: str, hint: str) -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "Error"}}
    of = pod({"running": {}}, lastState=ended, restartCount=1)
    told = (
        f"Killing: Container runtime failed {kind} probe, will be restarted",
        *(
            f"Unhealthy: {each} probe failed: context deadline exceeded"
            for each in ("Liveness", "Startup", "Readiness")
        ),
    )

    found = cause(of, Noticed(told))

    assert isinstance(found, LivenessFailed)
    assert f"{kind.capitalize()} probe failed" in found.message
    assert hint in found.hint


def test_missing_secret_is_told() -> None:
    found = cause(waiting("CreateContainerConfigError", 'secret "keys" not found'))

    assert isinstance(found, ContainerConfig)
    assert 'secret "keys" not found' in found.message


def test_room_is_waited_for_and_then_missed() -> None:
    of, patience = pod(), Patience(30.0)
    of["status"]["conditions"] = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes: Insufficient cpu.",
        }
    ]

    early, late = (cause_of(of, cast(Cluster, Noticed()), patience, now) for now in (0.0, 30.0))

    assert early is None
    assert isinstance(late, Unschedulable)
    assert "Insufficient cpu" in late.message


def test_pod_on_its_way_out_is_not_ready() -> None:
    of = pod()
    of["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert is_ready(of)

    of["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_ready(of)
