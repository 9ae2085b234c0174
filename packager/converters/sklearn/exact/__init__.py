"""Estimators in the arithmetic of their source: float64, sums in the same order, ties broken in the same way.

An answer that jumps (a vote, a median, the greatest of several means) is decided by the last bit where it is close, and
a graph that rounds once more than its source decides otherwise.
"""
