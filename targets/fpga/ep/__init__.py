"""``mode: ep``: a card of the host's does the work, through an execution provider of ONNX Runtime."""
