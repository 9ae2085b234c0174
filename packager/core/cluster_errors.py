"""What a Kubernetes cluster can refuse or fail at: exit 5. Import them from ``packager.core.errors``."""

from packager.core.deployment_errors import DeploymentError


class FieldConflict(DeploymentError):
    """Somebody else owns fields that the deployment would set; they were left as they are."""

    code = "E-FIELD-CONFLICT"


class AdmissionDenied(DeploymentError):
    """A rule of the cluster (Pod Security, a policy, an admission webhook) does not let the object in."""

    code = "E-ADMISSION"


class KindMissing(DeploymentError):
    """The cluster does not know a kind of object: what brings it is not installed there."""

    code = "E-KIND-MISSING"


class Unschedulable(DeploymentError):
    """No node takes the pods: too little room, or none that they ask for."""

    code = "E-UNSCHEDULABLE"


class ContainerConfig(DeploymentError):
    """A node cannot make the container: a Secret or a key of it is missing, or its settings are wrong."""

    code = "E-CONTAINER-CONFIG"


class LivenessFailed(DeploymentError):
    """The runtime was ended because it no longer answered that it lives."""

    code = "E-LIVENESS"
