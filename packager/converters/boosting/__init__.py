"""What the converters of boosted trees share: reading the trees, writing them as ONNX, drawing samples from them.

No boosting library is imported here: models are read from the text that each library writes.
"""
