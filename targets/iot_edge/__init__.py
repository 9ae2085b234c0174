"""The target ``iot-edge``: a module on one device of Azure IoT Edge, or a layered deployment to many."""

from targets.iot_edge.settings import IotEdgeSettings
from targets.iot_edge.target import IotEdgeTarget

__all__ = ["IotEdgeSettings", "IotEdgeTarget"]
