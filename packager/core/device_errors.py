"""What an IoT hub and its devices can fail at: exit 5. Import them from ``packager.core.errors``."""

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
