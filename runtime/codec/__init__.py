"""Wire tensors ↔ numpy, checked against the signature; one module a dialect, none of which knows HTTP."""
