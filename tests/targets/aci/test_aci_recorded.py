"""Answers as Azure really gives them: other casing, nulls, unknown and missing fields, every way to say it goes on."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage
from packager.core.credentials import Anonymous
from packager.core.deployment import Deployment
from packager.core.errors import DrayError, Forbidden, NameTaken, PullDenied, RequestRefused, Throttled
from packager.core.progress import SilentProgress
from packager.deploy import plan
from targets.aci import AciSettings
from targets.rehearsal.workload import Workload
from tests.contract_suites.target_suite import NAME, put
from tests.support.aci_cloud import ImagedAciTarget, ReadyRunner
from tests.support.arm_replay import ENDPOINT, Replay, Said
from tests.support.contracts import example
from tests.support.packages import make_package
from tests.support.servers import free_port
from tests.targets.aci.test_aci_update import PASSED

GROUP = "/providers/Microsoft.ContainerInstance/containerGroups/"
OPERATION = f"{ENDPOINT}/subscriptions/x/providers/Microsoft.ContainerInstance/locations/westus/operations/1"
Document = dict[str, Any]
STARTED = {"state": "Running", "startTime": "2024-05-01T10:00:00Z", "detailStatus": ""}
SUCCEEDED = Said(200, {"id": "/x", "status": "Succeeded", "startTime": "2024-05-01T10:00:00Z", "properties": {}})
OK = Said(200)
# Rows of quotas and of capabilities that say nothing.
HOLLOW = [
    {},
    {"name": None, "currentValue": 1, "limit": 2},
    {"name": {"value": "StandardCores"}, "currentValue": None},
    {"osType": "Linux", "location": "westus", "ipAddressType": "Public", "gpu": "None", "capabilities": None},
    {"osType": "Linux", "location": "westus", "gpu": "None", "capabilities": {"maxCpu": None, "maxMemoryInGB": 16}},
]


@dataclass
class Azure:
    """One region with one group, as its answers show it.

    Attributes:
        look: Makes what GET shows of what is there.
        accepted: Headers of an answer to a change that goes on; with none it was done at once.
        ended: The resource of an operation that is over.
    """

    look: Callable[[Document], Document] = lambda document: document
    accepted: Mapping[str, str] = field(default_factory=lambda: {"Azure-AsyncOperation": OPERATION})
    ended: Said = SUCCEEDED
    deleted: Said = OK
    group: Document | None = None

    def __call__(self, method: str, path: str, body: Any) -> Said:
        if "/operations/" in path:
            return self.ended
        if path.endswith(("/usages", "/capabilities")):
            return Said(200, {"value": HOLLOW})
        if path.endswith("/containerGroups"):
            return Said(200, {"value": [self.look(self.group)] if self.group else []})
        if GROUP not in path:
            return Said(200, {"id": path, "name": "demo", "location": "West US", "tags": None})
        return getattr(self, method.lower())(path, body)

    def get(self, path: str, body: Any) -> Said:
        if self.group is None:
            return Said(404, {"error": {"code": "ResourceNotFound", "message": "The Resource was not found."}})
        return Said(200, self.look(self.group))

    def put(self, path: str, body: Document) -> Said:
        self.group = shown(path, body)
        pending = {**self.group, "properties": {**body["properties"], "provisioningState": "Pending"}}
        done = Said(201, self.group)
        return Said(201, pending, self.accepted) if self.accepted else done

    def patch(self, path: str, body: Document) -> Said:
        assert self.group
        self.group = {**self.group, "tags": body["tags"]}
        return Said(200, self.look(self.group))

    def delete(self, path: str, body: Any) -> Said:
        self.group = None
        return self.deleted


def shown(path: str, body: Document) -> Document:
    """What there is after a PUT, as a recording of West US has it."""
    [container] = body["properties"]["containers"]
    pulled = {"count": 1, "firstTimestamp": "2024-05-01T10:00:00Z", "name": "Pulled", "message": "x", "type": "Normal"}
    view = {"restartCount": 0, "currentState": STARTED, "events": [pulled]}
    properties = {
        **body["properties"],
        "sku": "Standard",
        "provisioningState": "Succeeded",
        "isCustomProvisioningTimeout": False,
        "provisioningTimeoutInSeconds": 1800,
        "initContainers": [],
        "containers": [{**container, "properties": {**container["properties"], "command": [], "instanceView": view}}],
        "ipAddress": {**body["properties"]["ipAddress"], "ip": "127.0.0.1", "fqdn": "x.westus.azurecontainer.io"},
        "instanceView": {"events": [], "state": "Running"},
    }
    kind = {"type": "Microsoft.ContainerInstance/containerGroups", "name": path.rpartition("/")[2]}
    return {"properties": properties, "id": path, **kind, "location": body["location"], "tags": body["tags"]}


def lower_ids(document: Document) -> Document:
    return {**document, "id": document["id"].lower(), "type": document["type"].lower(), "location": "West US"}


def without_views(document: Document) -> Document:
    properties = {key: value for key, value in document["properties"].items() if key != "instanceView"}
    [container] = properties["containers"]
    inner = {key: value for key, value in container["properties"].items() if key != "instanceView"}
    return {**document, "properties": {**properties, "containers": [{**container, "properties": inner}]}}


def with_nulls(document: Document) -> Document:
    absent = dict.fromkeys(("zones", "identity", "systemData", "managedBy"))
    inside = dict.fromkeys(
        ("initContainers", "imageRegistryCredentials", "volumes", "diagnostics", "subnetIds", "dnsConfig", "priority")
    )
    [container] = document["properties"]["containers"]
    properties = {**container["properties"], "command": None, "volumeMounts": None, "securityContext": None}
    properties["instanceView"] = {"restartCount": 0, "currentState": STARTED, "previousState": None, "events": None}
    view = {"state": "Running", "events": None}
    changed = {**inside, "containers": [{**container, "properties": properties}], "instanceView": view}
    return {**document, **absent, "properties": {**document["properties"], **changed}}


def with_more(document: Document) -> Document:
    """Fields that a later version of the API may have, on every level."""
    return _more(document)


def _more(node: Any, key: str = "") -> Any:
    if isinstance(node, list):
        return [_more(each) for each in node]
    if isinstance(node, dict) and key != "tags":
        return {**{name: _more(each, name) for name, each in node.items()}, "newInAzure": {"a": [1]}}
    return node


def other_case(document: Document) -> Document:
    """Enumerations as other versions of the API have spelled them."""
    properties = document["properties"]
    [container] = properties["containers"]
    inner = dict(container["properties"])
    inner["ports"] = [{**port, "protocol": "Tcp"} for port in inner["ports"]]
    for probe in ("livenessProbe", "readinessProbe"):
        asked = inner[probe]["httpGet"]
        inner[probe] = {**inner[probe], "httpGet": {**asked, "scheme": asked["scheme"].upper(), "httpHeaders": []}}
    address = properties["ipAddress"]
    ports = [{**port, "protocol": "tcp"} for port in address["ports"]]
    changed = {"containers": [{**container, "properties": inner}], "ipAddress": {**address, "ports": ports}}
    return {**document, "properties": {**properties, **changed, "osType": "linux"}}


BOTH = {"Azure-AsyncOperation": OPERATION, "Location": OPERATION}
ACCEPTED: list[dict[str, str]] = [BOTH, {"Location": OPERATION}, {}]
LOOKS = [lower_ids, without_views, with_nulls, with_more, other_case]


@pytest.fixture
def package(tmp_path: Path, state: Path) -> ModelPackage:
    return make_package(tmp_path / "a")


@pytest.fixture
def settings() -> AciSettings:
    return AciSettings(port=free_port(), resource_group="Demo")


@pytest.fixture
def runner(package: ModelPackage, settings: AciSettings) -> Iterator[ReadyRunner]:
    """Answers at the address that the group's answers name."""
    runner = ReadyRunner()
    runner.hold("ready", package)
    runner.start(Workload("1", "ready", "127.0.0.1", (settings.port,)))
    yield runner
    runner.remove("1")


def target_of(replay: Replay, runner: ReadyRunner) -> ImagedAciTarget:
    return ImagedAciTarget(replay.access(), Anonymous(), runner)


def deployed(replay: Replay, runner: ReadyRunner, settings: AciSettings, package: ModelPackage) -> Deployment:
    return put(target_of(replay, runner), settings, package, report=PASSED).deployment


@pytest.mark.parametrize("look", LOOKS)
def test_a_group_is_understood_however_it_is_shown(
    look: Any, runner: ReadyRunner, settings: AciSettings, package: ModelPackage
) -> None:
    replay = Replay(Azure(look))
    target = target_of(replay, runner)

    made = deployed(replay, runner, settings, package)

    assert (made.state, made.digest) == ("running", package.digest)
    [again] = plan(target, NAME, target.release_for_tests(package), settings).actions
    assert (again.verb, again.changes) == ("keep", ())
    [found] = target.deployments(settings)
    assert (found.name, found.state, found.endpoint) == (NAME, "running", made.endpoint)
    target.destroy(found, SilentProgress())
    assert target.deployments(settings) == ()


@pytest.mark.parametrize("accepted", ACCEPTED)
def test_each_way_to_say_that_a_change_goes_on_is_followed(
    accepted: Mapping[str, str], runner: ReadyRunner, settings: AciSettings, package: ModelPackage
) -> None:
    azure = Azure(accepted=accepted)

    assert deployed(Replay(azure), runner, settings, package).state == "running"


@pytest.mark.parametrize("deleted", [Said(204), Said(202, None, {"Location": OPERATION}), Said(202)])
def test_each_way_to_say_that_a_group_goes_is_followed(
    deleted: Said, runner: ReadyRunner, settings: AciSettings, package: ModelPackage
) -> None:
    replay = Replay(Azure(deleted=deleted))
    made = deployed(replay, runner, settings, package)

    target_of(replay, runner).destroy(made, SilentProgress())

    assert replay.bodies("DELETE") == [None]


def failed(**changed: Any) -> Said:
    return Said(200, {"id": "/x", "status": "Failed", "startTime": "2024-05-01T10:00:00Z", **changed})


def event(message: str, name: str = "Failed") -> Document:
    return {"count": 1, "name": name, "message": message, "type": "Warning", "lastTimestamp": "2024-05-01T10:00:00Z"}


PULLING = event('pulling image "nginx"', "Pulling")
NEVER_PULLED = [PULLING, event('Failed to pull image "nginx": rpc error: "nginx": not found')]
GONE = event("the node is gone")
ENDINGS = {
    "an error beside the status": (
        failed(error={"code": "ContainerGroupQuotaReached", "message": "quota 'StandardCores' exceeded"}), "E-QUOTA",
    ),
    "an error with the cause inside": (
        failed(error={"code": "DeploymentFailed", "message": "At least one", "details": [
            {"code": "Conflict", "message": '{"error": {"code": "DnsNameLabelAlreadyTaken", "message": "x"}}'}]}),
        "E-NAME-TAKEN",
    ),
    "events alone": (failed(properties={"events": NEVER_PULLED}), "E-IMAGE-MISSING"),
    "events that nobody knows": (failed(properties={"events": [PULLING, GONE]}), "E-DEPLOYMENT-FAILED"),
    "nothing": (failed(error=None, properties=None), "E-DEPLOYMENT-FAILED"),
    "a page of a proxy": (Said(502, "<html>{bad gateway</html>", {"Content-Type": "text/html"}), "E-CLOUD"),
}  # fmt: skip


@pytest.mark.parametrize("ended", ENDINGS)
def test_an_operation_that_fails_with_status_200_ends_in_its_cause(
    ended: str, runner: ReadyRunner, settings: AciSettings, package: ModelPackage
) -> None:
    said, code = ENDINGS[ended]
    replay = Replay(Azure(ended=said))

    with pytest.raises(DrayError) as caught:
        deployed(replay, runner, settings, package)

    assert caught.value.code == code, caught.value
    assert caught.value.message
    assert caught.value.hint
    if ended == "events that nobody knows":
        assert "the node is gone" in caught.value.message
    assert len(replay.bodies("PUT")) == 1
    assert len(replay.bodies("DELETE")) == 1


THROTTLED = {"error": {"code": "TooManyRequests", "message": "slow down"}}


@dataclass
class Throttling:
    """Refuses the first change, and says for how long."""

    azure: Azure
    wait_s: int
    refused: int = 0

    def __call__(self, method: str, path: str, body: Any) -> Said:
        if method == "PUT" and not self.refused:
            self.refused += 1
            return Said(429, THROTTLED, {"Retry-After": str(self.wait_s)})
        return self.azure(method, path, body)


def test_a_change_that_is_throttled_is_made_again_after_the_wait_that_is_asked_for(
    runner: ReadyRunner, settings: AciSettings, package: ModelPackage
) -> None:
    replay, began = Replay(Throttling(Azure(), 1)), time.monotonic()

    assert deployed(replay, runner, settings, package).state == "running"
    assert len(replay.bodies("PUT")) == 2
    assert time.monotonic() - began >= 1


def test_a_wait_that_nobody_has_is_told_instead(
    runner: ReadyRunner, settings: AciSettings, package: ModelPackage
) -> None:
    replay = Replay(Throttling(Azure(), 3600))

    with pytest.raises(Throttled) as caught:
        deployed(replay, runner, settings, package)

    assert caught.value.hint == "again in 3600 s"
    assert len(replay.bodies("PUT")) == 1


@pytest.mark.parametrize(("code", "error"), [("InaccessibleImage", PullDenied), ("Other", RequestRefused)])
def test_a_pull_that_fails_is_tried_a_few_times_and_anything_else_once(
    code: str, error: type[DrayError], runner: ReadyRunner, settings: AciSettings, package: ModelPackage
) -> None:
    azure = Azure()
    azure.put = lambda path, body: Said(400, {"error": {"code": code, "message": "x"}})  # type: ignore[method-assign]
    replay = Replay(azure)

    with pytest.raises(error):
        deployed(replay, runner, settings, package)

    assert len(replay.bodies("PUT")) == (4 if error is PullDenied else 1)


def test_a_resource_group_that_may_not_be_read_is_no_obstacle_where_the_region_is_named(
    runner: ReadyRunner, settings: AciSettings, package: ModelPackage
) -> None:
    azure = Azure()

    def answer(method: str, path: str, body: Any) -> Said:
        if path.endswith("/resourcegroups/Demo"):
            return Said(403, {"error": {"code": "AuthorizationFailed", "message": "no"}})
        return azure(method, path, body)

    with pytest.raises(Forbidden):
        deployed(Replay(answer), runner, settings, package)
    named = settings.model_copy(update={"region": "westus"})
    assert deployed(Replay(answer), runner, named, package).state == "running"


@pytest.mark.parametrize("name", ["ContainerGroupsList", "ContainerGroupsListByResourceGroup"])
def test_groups_of_others_as_the_contract_shows_them_are_no_deployments(name: str, runner: ReadyRunner) -> None:
    rows = example(name)["responses"]["200"]["body"]
    replay = Replay(lambda method, path, body: Said(200, rows))

    assert rows["value"]
    assert target_of(replay, runner).deployments(AciSettings()) == ()


@pytest.mark.parametrize("name", ["ContainerGroupsGet_Succeeded", "ContainerGroupsGet_Failed"])
def test_a_group_of_others_as_the_contract_shows_it_is_left_alone(
    name: str, runner: ReadyRunner, settings: AciSettings, package: ModelPackage
) -> None:
    azure = Azure(group=example(name)["responses"]["200"]["body"])

    with pytest.raises(NameTaken, match="not dray's"):
        deployed(Replay(azure), runner, settings, package)
