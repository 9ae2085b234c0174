"""The vocabulary that builder, server and targets share: what a model package holds and what travels over HTTP.

Light on purpose (the standard library and pydantic): the reader of the format owns it, so neither side can drift.
"""
