"""Objects as they are applied: pure functions of what is wanted, plain dictionaries as results."""

from targets.kit.kubernetes.objects.everything import rendered
from targets.kit.kubernetes.objects.wanted import Object, Wanted

__all__ = ["Object", "Wanted", "rendered"]
