"""The places where models are served: one plugin each."""
