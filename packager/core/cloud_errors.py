"""What a cloud's management API can refuse or fail at: exit 5. Import them from ``packager.core.errors``."""

from packager.core.deployment_errors import DeploymentError


class NotSignedIn(DeploymentError):
    """The cloud does not know who asks: nobody is signed in, or the token has expired or is for another tenant."""

    code = "E-AUTH"


class Forbidden(DeploymentError):
    """The cloud knows who asks, and does not let them: a role is missing, or a policy or a lock forbids it."""

    code = "E-FORBIDDEN"


class QuotaReached(DeploymentError):
    """The subscription may not have more of this in the region."""

    code = "E-QUOTA"


class CapacityMissing(DeploymentError):
    """The region has no room for this at the moment, whatever the subscription may have."""

    code = "E-CAPACITY"


class Transitioning(DeploymentError):
    """The resource is still busy with an earlier change, for longer than was waited."""

    code = "E-TRANSITIONING"


class Throttled(DeploymentError):
    """The cloud takes no more requests for now (429), and asks to wait longer than anybody here does."""

    code = "E-THROTTLED"


class NameTaken(DeploymentError):
    """Somebody else has the name: a DNS label of the region, or a resource that dray did not make."""

    code = "E-NAME-TAKEN"


class RequestRefused(DeploymentError):
    """The cloud does not take the request as it stands; its own words say which part."""

    code = "E-REQUEST-REFUSED"


class ResourceGroupMissing(DeploymentError):
    """There is no resource group of this name in the subscription, or none was named."""

    code = "E-NO-RESOURCE-GROUP"


class CloudFailed(DeploymentError):
    """The cloud answered with an error of its own, again and again."""

    code = "E-CLOUD"


class CloudUnreachable(DeploymentError):
    """Nobody answers at the address of the cloud's management API: name, route, proxy, certificate or time."""

    code = "E-CLOUD-UNREACHABLE"
