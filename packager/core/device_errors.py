"""What devices, of an IoT hub or in a host, can fail at: exit 5. Import them from ``packager.core.errors``."""

from packager.core.deployment_errors import DeploymentError, InvocationError


class DeviceMissing(DeploymentError):
    """The hub has no device of this name, or it is no IoT Edge device."""

    code = "E-NO-DEVICE"


class DeviceOffline(InvocationError):
    """The device is not connected to the hub, so that nothing can be asked of it now."""

    code = "E-DEVICE-OFFLINE"


class ManifestRefused(DeploymentError):
    """The device's IoT Edge agent does not take the deployment manifest."""

    code = "E-MANIFEST"


class AcceleratorMissing(DeploymentError):
    """The host has no card that the execution provider could use."""

    code = "E-NO-ACCELERATOR"


class CardToolsMissing(DeploymentError):
    """The card's own software is not installed on its host."""

    code = "E-NO-XRT"


class ProviderAbsent(DeploymentError):
    """The onnxruntime that would serve was built without the execution provider."""

    code = "E-NO-PROVIDER"


class CircuitAbsent(DeploymentError):
    """The package holds no circuit, and a circuit is what shall be served."""

    code = "E-NOT-A-CIRCUIT"


class SimulationAbsent(DeploymentError):
    """The package's circuit has no simulation for the platform of the host."""

    code = "E-CIRCUIT-PLATFORM"
