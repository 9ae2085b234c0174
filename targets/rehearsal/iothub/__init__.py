"""A stand-in of Azure IoT Hub and of IoT Edge devices: the service's API, an edge agent and an edge hub a device."""
