"""ONNX Runtime behind a verified package: load, self-test, run. Knows no HTTP."""
