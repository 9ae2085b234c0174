"""Azure IoT Hub as a service: who asks, requests, and what its refusals mean."""
