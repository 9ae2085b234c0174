"""The server as a module of Azure IoT Edge: messages in, answers out, with nothing lost in between."""
