"""dray's server side by side with others that serve ONNX models: see docs/benchmarks.md."""
