"""What Azure says when it refuses, word for word where a recording or a report of it was found."""

from collections.abc import Mapping
from types import MappingProxyType

from targets.rehearsal.addresses import PortTaken

PROVIDER = "Microsoft.ContainerInstance"
GROUP_TYPE = f"{PROVIDER}/containerGroups"


class ArmError(Exception):
    """An answer that is an error object; never leaves the stand-in but as one."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: tuple[tuple[str, str], ...] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message
        self.details, self.headers = details, headers

    def body(self) -> dict[str, object]:
        """The envelope, as every ARM error has it."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = [{"code": code, "message": message} for code, message in self.details]
        return {"error": error}


def invalid_content(why: str) -> ArmError:
    """A body that is not JSON, or not of the shape.

    Source: Azure/azure-powershell#16082 (the same provider), Azure/azure-sdk-for-net#3487.
    """
    message = f"The request content was invalid and could not be deserialized: '{why}'."
    return ArmError(400, "InvalidRequestContent", message)


def quota_reached(quota: str, region: str, *, limit: int, usage: int, requested: int, status: int = 400) -> ArmError:
    """Source: MicrosoftDocs/azure-docs#51738 for the words; seen with status 400 and with 409."""
    message = (
        f"Resource type '{GROUP_TYPE}' container group quota '{quota}' exceeded in region '{region}'. "
        f"Limit: '{limit}', Usage: '{usage}' Requested: '{requested}'."
    )
    return ArmError(status, "ContainerGroupQuotaReached", message)


def inaccessible_image(image: str, group: str) -> ArmError:
    """No such image, no right to it, or a registry's passing weakness: Azure says the same of all three.

    Source: Azure/azure-cli#18596 and #25685.
    """
    message = (
        f"The image '{image}' in container group '{group}' is not accessible. "
        "Please check the image and registry credential."
    )
    return ArmError(400, "InaccessibleImage", message)


def registry_failed(registry: str) -> ArmError:
    """Source: Azure/azure-cli#29300; Azure/azure-cli#30915 for the status."""
    message = f"An error response is received from the docker registry '{registry}'. Please retry later."
    return ArmError(409, "RegistryErrorResponse", message)


def transitioning(group: str) -> ArmError:
    """Source: Microsoft's troubleshooting page "Container group remains in a transitioning state"."""
    message = f"The container group '{group}' is still transitioning, please retry later."
    return ArmError(409, "ContainerGroupTransitioning", message)


def label_taken(label: str, group: str) -> ArmError:
    """A DNS label that another group of the region has.

    Source: the words of shahiddev/docker-k8s-workshop#2 and of a later report that names the code.
    """
    message = (
        f"The DNS name label '{label}' in container group '{group}' is not available. Try using a different label."
    )
    return ArmError(409, "DnsNameLabelAlreadyTaken", message)


def label_invalid(label: str, group: str) -> ArmError:
    """Source: derekbekoe/vscode-spot#38."""
    message = (
        f"The DNS name label '{label}' in container group '{group}' is invalid. It can contain only lowercase letters, "
        "numbers and hyphens. The first character must be a letter. The last character must be a letter or number. "
        "The value must be between 5 and 63 characters long."
    )
    return ArmError(400, "InvalidDnsNameLabel", message)


def update_refused(group: str, changes: str) -> ArmError:
    """What must be deleted to be changed.

    Args:
        changes: For example ``RestartPolicy (old "OnFailure", new "Always")``.

    Source: a comment of 2024 in MicrosoftDocs/azure-docs#31168.
    """
    message = (
        f"The updates on container group '{group}' are invalid. If you are going to update the {changes} for a "
        "container group, you must delete it first and then create a new one."
    )
    return ArmError(400, "InvalidContainerGroupUpdate", message)


def no_capacity(region: str, *, cpu: float, memory: float, system: str) -> ArmError:
    """More than the region has for one group, or just now for anyone: Azure says the same of both.

    Source: MicrosoftDocs/azure-docs#24776.
    """
    message = (
        f"The requested resource is not available in the location '{region}' at this moment. Please retry with a "
        "different resource request or in another location. "
        f"Resource requested: '{cpu:g}' CPU '{memory:g}' GB memory '{system}' OS"
    )
    return ArmError(409, "ServiceUnavailable", message)


def internal(activity: str, correlation: str) -> ArmError:
    """Source: Azure/azure-cli#30915."""
    message = (
        f"Encountered an internal server error. The tracking activity ID is '{activity}', "
        f"and the correlation ID is '{correlation}'."
    )
    return ArmError(500, "InternalServerError", message)


def not_in_a_rehearsal(what: str) -> ArmError:
    """Something that Azure does and this stand-in does not; said in its own words, so that none looks for it there."""
    return ArmError(501, "NotInARehearsal", f"{what} cannot be rehearsed: only Azure itself can do it")


def port_in_use_here(taken: PortTaken) -> ArmError:
    """Something that a machine has and Azure has not: said in this stand-in's own words."""
    return ArmError(409, "PortInUseOnThisMachine", f"{taken}: rehearse with another port")


def no_container(name: str, group: str) -> ArmError:
    """A group has no container of this name."""
    message = f"The container '{name}' is not found in the container group '{group}'."
    return ArmError(404, "ContainerNotFound", message)


def no_logs(name: str, group: str) -> ArmError:
    """A container that never ran. Source: gbowerman/azurerm, which tests for the code."""
    message = f"The log of the container '{name}' in the container group '{group}' is not available."
    return ArmError(404, "ContainerLogNotAvailable", message)


def invalid_parameter(name: str, value: str) -> ArmError:
    """A query parameter of another type."""
    return ArmError(400, "InvalidParameter", f"The value '{value}' of the parameter '{name}' is invalid.")
