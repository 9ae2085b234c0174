"""What runs in the container and on the edge device: ONNX Runtime behind HTTP, self-tested before it is ready."""

import os

# From 1.32, ONNX Runtime on Linux reports to its maker over the network unless told not to, by a thread that it starts
# when it is imported. A server speaks to its clients alone. (The builder, which imports this package too, to nobody.)
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
