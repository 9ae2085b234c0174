"""``mode: rtl``: a verified circuit of the model, of which a simulation serves."""
