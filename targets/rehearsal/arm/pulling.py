"""Images, had before a group is accepted, as Azure looks at each image before it answers PUT."""

from targets.rehearsal.arm import faults
from targets.rehearsal.arm.bodies import ContainerGroup, ImageRegistryCredential
from targets.rehearsal.arm.cloud import Cloud
from targets.rehearsal.arm.errors import inaccessible_image, registry_failed
from targets.rehearsal.arm.groups import Group
from targets.rehearsal.workload import PullCredential, PullRefused

DOCKER_HUB = "index.docker.io"


def pull_all(cloud: Cloud, group: Group, body: ContainerGroup) -> dict[str, str]:
    """The images' names by digest, by their names in the body.

    Raises:
        ArmError: One cannot be had.
    """
    digests = {}
    for container in (*body.properties.containers, *(body.properties.init_containers or ())):
        image = container.properties.image or ""
        credential = credential_for(image, body.properties.image_registry_credentials or [])
        faults.at_a_pull(cloud.world, image=image, registry=registry_of(image), group=group.id.name)
        try:
            digests[image] = f"{_repository(image)}@{cloud.world.runner.pull(image, credential)}"
        except PullRefused as refusal:
            if refusal.kind == "unreachable":
                raise registry_failed(registry_of(image)) from refusal
            raise inaccessible_image(image, group.id.name) from refusal
    return digests


def _repository(image: str) -> str:
    name = image.partition("@")[0]
    before, colon, tag = name.rpartition(":")
    return before if colon and "/" not in tag else name


def registry_of(image: str) -> str:
    """The host that an image's name begins with; without one it is Docker Hub's."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else DOCKER_HUB


def credential_for(image: str, given: list[ImageRegistryCredential]) -> PullCredential | None:
    """Those of the image's registry; one with a managed identity has no password, and none here."""
    registry = registry_of(image)
    for each in given:
        if each.server == registry and each.username is not None:
            return PullCredential(each.server, each.username, each.password or "")
    return None
