"""How an operation comes to nothing after its request was accepted."""

from targets.rehearsal.arm.errors import ArmError
from targets.rehearsal.arm.groups import Group
from targets.rehearsal.arm.staging import Ending

# So often an image is tried to be pulled, and so long is waited between: Azure tries for minutes.
PULLS, PULL_PAUSE_S = 3, 0.3


def come_to(ending: Ending, group: Group) -> None:
    """Let the fault strike that is due; the group's containers are not started then.

    Raises:
        ArmError: What the operation ends with.
    """
    if ending == "stuck":
        group.stuck = True
        group.quit.wait()
        raise ArmError(
            409, "OperationCanceled", f"The provisioning of the container group '{group.id.name}' was ended."
        )
    if ending == "lro-failed":
        message = f"The container group '{group.id.name}' could not be provisioned. (rehearsed fault: lro-failed)"
        raise ArmError(409, "DeploymentFailed", message)
    if ending == "image-missing":
        _never_pulled(group)


def _never_pulled(group: Group) -> None:
    """Source of the events: "Troubleshoot common issues in Azure Container Instances", long time to pull an image."""
    run = group.runs[0]
    image = run.plan.workload.image
    cause = f'rpc error: code = NotFound desc = failed to resolve reference "{image}": {image}: not found'
    why = f'Failed to pull image "{image}": {cause}'
    for _ in range(PULLS):
        run.events.add("Pulling", f'pulling image "{image}"')
        run.events.add("Failed", why, warning=True)
        run.waiting = f'ImagePullBackOff: Back-off pulling image "{image}"'
        run.events.add("BackOff", f'Back-off pulling image "{image}"')
        group.quit.wait(PULL_PAUSE_S)
    raise ArmError(409, "ImagePullFailure", f"The container group '{group.id.name}' could not be provisioned. {why}")
