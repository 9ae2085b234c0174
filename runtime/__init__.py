"""What runs in the container and on the edge device: ONNX Runtime behind HTTP, self-tested before it is ready."""
