"""``--rehearse`` on every command that has it: against a registry that runs and a cloud of memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packager.core.errors import DeploymentFailed
from packager.core.image import ImageRef, Platform
from packager.core.progress import SilentProgress
from packager.image.outputs import push
from packager.image.package_only import package_only_layout
from packager.pack import open_package
from tests.support.cloud import CloudRehearsal, CloudTarget, OwnRegistry, install, stand_in
from tests.support.command import Run, in_process
from tests.support.packages import logistic_model, make_package
from tests.support.registry_server import RegistryServer, running_registry

Dray = Callable[..., Run]
NO_ENGINE = "no container engine answers"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("registry"), password=True) as server:
        yield server.host


@pytest.fixture
def rehearsal(host: str, monkeypatch: pytest.MonkeyPatch) -> CloudRehearsal:
    made = stand_in(host, why=NO_ENGINE)
    install(monkeypatch, rehearsal=made)
    return made


@pytest.fixture
def dray(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dray:
    monkeypatch.chdir(tmp_path)
    return in_process(capfd)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "one", version="1").root


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return make_package(tmp_path / "two", logistic_model(seed=7), version="2").root


def test_life_of_a_rehearsed_deployment_says_in_every_line_what_it_is(
    dray: Dray, rehearsal: CloudRehearsal, package: Path, other: Path
) -> None:
    commands = [
        ["plan", package, "-t", "cloud"],
        ["deploy", package, "-t", "cloud"],
        ["deploy", other, "-t", "cloud", "-v"],
        ["status"],
        ["test", "iris"],
        ["invoke", "iris", "-i", "X=[[5.1, 3.5, 1.4, 0.2]]"],
        ["logs", "iris"],
        ["rollback", "iris"],
        ["delete", "iris", "-y"],
    ]
    for command in commands:
        ran = dray(*command, "--rehearse")

        assert ran.status == 0, (command, ran.err)
        lines = (ran.out + ran.err).splitlines()
        assert lines
        assert [line for line in lines if not line.startswith("rehearsal: ")] == [], command
    assert rehearsal.stage.target.deployments(None) == ()


def test_documents_and_errors_say_it_too(dray: Dray, rehearsal: CloudRehearsal, package: Path) -> None:
    planned = dray("plan", package, "-t", "cloud", "--rehearse", "-o", "json").document
    deployed = dray("deploy", package, "-t", "cloud", "--rehearse", "-o", "json").document
    [row] = dray("status", "--rehearse", "-o", "json").document
    missing = dray("logs", "nobody", "--rehearse", "-o", "json").document

    assert planned["rehearsal"] is deployed["rehearsal"] is row["rehearsal"] is missing["rehearsal"] is True
    assert (deployed["state"], deployed["smoke"]["passed"]) == ("running", True)
    assert missing["error"]["code"] == "E-NO-DEPLOYMENT"


def test_plan_is_exact_twice_and_says_no_change_after_deploy(
    dray: Dray, rehearsal: CloudRehearsal, package: Path, host: str
) -> None:
    command = ("plan", package, "-t", "cloud", "--rehearse", "-o", "json", "--exit-code")
    first, second = dray(*command), dray(*command)
    deployed = dray("deploy", package, "-t", "cloud", "--rehearse", "-o", "json")
    after = dray(*command)

    assert (first.status, second.status, deployed.status, after.status) == (10, 10, 0, 0)
    assert first.out == second.out
    [action] = first.document["actions"]
    assert action["body"]["image"].startswith(f"{host}/iris@sha256:")
    assert action["body"]["image"] == deployed.document["image"]
    assert "rehearsal" in first.document["findings"][-1]["message"]


def test_what_runs_the_image_is_said_with_the_reason(dray: Dray, rehearsal: CloudRehearsal, package: Path) -> None:
    ran = dray("deploy", package, "-t", "cloud", "--rehearse")

    assert f"the runtime runs as a process here: {NO_ENGINE}" in ran.err
    assert f"note     a rehearsal on the stand-in of 'cloud' on this machine (registry {rehearsal.stage.registry})" in (
        ran.err
    )


def test_base_that_cannot_be_had_makes_a_process_of_it(
    dray: Dray, host: str, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, rehearsal=stand_in(host, runs="containers"))

    ran = dray("deploy", package, "-t", "cloud", "--rehearse", "--base", "127.0.0.1:1/none:1")
    named = dray("deploy", package, "-t", "cloud", "--rehearse", "--base", "./none.tar", "-o", "json")

    assert ran.status == 0, ran.err
    assert "the runtime runs as a process here: the image 127.0.0.1:1/none:1 cannot be had" in ran.err
    assert (named.status, named.document["error"]["code"]) == (4, "E-IMAGE-MISSING")


def test_image_of_another_registry_is_copied_for_a_process_to_run(
    dray: Dray, rehearsal: CloudRehearsal, registry: RegistryServer, package: Path, tmp_path: Path, host: str
) -> None:
    built = package_only_layout(
        open_package(package), ImageRef.parse(f"{registry.host}/team/iris:1"), (Platform(),), tmp_path / "layout",
        cache=tmp_path / "cache",
    )  # fmt: skip
    push(built, tmp_path / "layout", OwnRegistry(host), SilentProgress())

    deployed = dray("deploy", built.ref, "-t", "cloud", "--rehearse", "-o", "json")

    assert deployed.status == 0, deployed.err
    assert deployed.document["image"].startswith(f"{host}/iris@sha256:")


def test_faults_strike_in_the_command_that_names_them_alone(
    dray: Dray, rehearsal: CloudRehearsal, package: Path, other: Path
) -> None:
    dray("deploy", package, "-t", "cloud", "--rehearse", "--fault", "quota:2", "--fault", "slow")
    dray("deploy", other, "-t", "cloud", "--rehearse")
    dray("status", "--rehearse")
    rolled = dray("rollback", "iris", "--rehearse", "--fault", "slow:1")

    assert rolled.status == 0, rolled.err
    assert rehearsal.opened == [("quota:2", "slow"), (), (), ("slow:1",), ()]


def test_failure_says_that_it_was_a_rehearsal_and_the_faults_are_lifted(
    dray: Dray, rehearsal: CloudRehearsal, package: Path
) -> None:
    target = rehearsal.stage.target
    assert isinstance(target, CloudTarget)
    target.fail_at["apply"] = DeploymentFailed("no cores are left in westeurope", hint="ask for more")
    failed = dray("deploy", package, "-t", "cloud", "--rehearse", "--fault", "quota")
    target.fail_at["apply"] = DeploymentFailed("no cores are left in westeurope", hint="ask for more")
    document = dray("deploy", package, "-t", "cloud", "--rehearse", "-o", "json", "-q").document

    assert failed.status == 5
    assert "rehearsal: error E-DEPLOYMENT-FAILED: no cores are left in westeurope" in failed.err.splitlines()
    assert rehearsal.opened == [("quota",), (), ()]
    assert (document["rehearsal"], document["error"]["code"]) == (True, "E-DEPLOYMENT-FAILED")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["deploy", "one", "-t", "local", "--fault", "quota"], "faults strike in rehearsals only: quota"),
        (["deploy", "one", "-t", "cloud", "--rehearse", "--fault", "quotta"], "no fault is called 'quotta'"),
        (["deploy", "one", "-t", "cloud", "--fault", "quota"], "faults strike in rehearsals only: quota"),
        (["rollback", "iris", "--fault", "quota"], "faults strike in rehearsals only: quota"),
        (["deploy", "one", "-t", "local", "--rehearse"], "'local' has no stand-in and needs none"),
        (["deploy", "one", "-t", "docker", "--rehearse"], "'docker' has no stand-in and needs none"),
        (["status", "-t", "local", "--rehearse"], "'local' has no stand-in and needs none"),
        (["deploy", "one", "-t", "clod", "--rehearse"], "no target named 'clod'"),
        (["deploy", "one", "-t", "cloud", "--rehearse", "--set", "sise=2"], "unknown key 'sise'"),
        (["test", "iris", "--rehearse"], "nothing is being rehearsed here"),
        (["deploy", "one", "-t", "local", "--update", "replace"], "'local' updates in one way only"),
        (["deploy", "one", "-t", "cloud", "--rehearse", "--update", "never"], "'update' in the target's settings"),
        (["deploy", "one", "-t", "local", "--tag", "iris:1"], "no image is built that --tag could be about"),
    ],
)
@pytest.mark.usefixtures("rehearsal", "package")
def test_what_cannot_be_meant_is_refused_with_a_hint(dray: Dray, arguments: list[str], message: str) -> None:
    ran = dray(*arguments, "-o", "json")

    assert ran.status in (2, 5)
    assert message in ran.document["error"]["message"]
    assert ran.document["error"]["hint"]


def test_who_forgets_the_option_is_reminded(dray: Dray, rehearsal: CloudRehearsal, package: Path) -> None:
    dray("deploy", package, "-t", "cloud", "--rehearse")
    forgotten = dray("logs", "iris", "-o", "json").document
    unknown = dray("logs", "nobody", "-o", "json").document

    assert "rehearsal" not in forgotten
    assert forgotten["error"]["hint"] == "it is being rehearsed: add --rehearse"
    assert "--rehearse" not in unknown["error"]["hint"]


def test_what_is_wrong_with_the_image_is_said_before_the_model_is_packaged(
    dray: Dray, rehearsal: CloudRehearsal
) -> None:
    arm64 = dray("ship", "none.onnx", "-t", "cloud", "--rehearse", "--platform", "linux/arm64", "-o", "json")
    nowhere = dray("ship", "none.onnx", "-t", "cloud", "-o", "json")

    assert (arm64.status, arm64.document["error"]["code"]) == (4, "E-IMAGE-ARCH")
    assert "'cloud' pulls images from one" in nowhere.document["error"]["message"]


def test_update_is_a_setting(dray: Dray, rehearsal: CloudRehearsal, package: Path) -> None:
    planned = dray("plan", package, "-t", "cloud", "--rehearse", "--update", "in-place", "-o", "json")

    assert planned.document["actions"][0]["body"]["update"] == "in-place"


def test_named_target_of_the_project_file_is_rehearsed_with_its_settings(
    dray: Dray, rehearsal: CloudRehearsal, package: Path, tmp_path: Path
) -> None:
    (tmp_path / "dray.yaml").write_text("targets: {staging: {target: cloud, size: 3}}\n")

    planned = dray("plan", package, "-t", "staging", "--rehearse", "-o", "json")
    deployed = dray("deploy", package, "-t", "staging", "--rehearse")
    [row] = dray("status", "-t", "staging", "--rehearse", "-o", "json").document

    assert planned.document["actions"][0]["body"]["size"] == 3
    assert deployed.status == 0
    assert (row["name"], row["target"]) == ("iris", "cloud")


def test_targets_lists_rehearsals_and_faults(dray: Dray, rehearsal: CloudRehearsal) -> None:
    document = dray("targets", "-o", "json").document
    text = dray("targets").out

    assert document["rehearsals"] == [{"name": "cloud", "faults": dict(rehearsal.faults)}]
    assert "no cores are left" in text


def test_python_interface_rehearses_as_well(rehearsal: CloudRehearsal, tmp_path: Path) -> None:
    import onnx

    from packager import ship

    onnx.save(logistic_model(), tmp_path / "iris.onnx")
    shipped = ship(
        tmp_path / "iris.onnx", target="cloud", rehearse=True, faults=("slow:1",), version="1", out=tmp_path / "p"
    )

    assert (shipped.state, shipped.smoke.passed) == ("running", True)
    assert rehearsal.opened == [("slow:1",), ()]
