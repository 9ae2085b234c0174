"""What bringing up and looking after a deployment can fail at: exit 5. Import them from ``packager.core.errors``."""

from runtime.contract.errors import DrayError


class DeploymentError(DrayError):
    """The deployment did not come about, or cannot be looked after."""

    code = "E-DEPLOYMENT"


class DeploymentMissing(DeploymentError):
    """No target knows a deployment of this name."""

    code = "E-NO-DEPLOYMENT"


class DeploymentBusy(DeploymentError):
    """Another command is changing this deployment."""

    code = "E-BUSY"


class DeploymentDeclined(DeploymentError):
    """The person who was asked did not agree to the plan; nothing was changed."""

    code = "E-DECLINED"


class NoPreviousRelease(DeploymentError):
    """Nothing served under this name before, so there is nothing to go back to."""

    code = "E-NO-PREVIOUS"


class DeploymentFailed(DeploymentError):
    """The target gave up on the deployment; the cause is in the message."""

    code = "E-DEPLOYMENT-FAILED"


class ProcessCrash(DeploymentError):
    """The runtime ended before it was ready; the last lines of its log are in the message."""

    code = "E-CONTAINER-CRASH"


class OutOfMemory(DeploymentError):
    """The runtime was ended because it took more memory than its limit."""

    code = "E-OOM"


class NotReady(DeploymentError):
    """The runtime did not become ready in the time it was given, or says that it never will."""

    code = "E-NOT-READY"


class PortInUse(DeploymentError):
    """Something else listens on the port."""

    code = "E-PORT-IN-USE"


class InvocationError(DeploymentError):
    """The endpoint did not answer the request: unreachable, refused, or not the protocol."""

    code = "E-INVOKE"
