"""The part of Azure Resource Manager that container groups need, on loopback: ``create_app`` and ``FAULTS``."""

from targets.rehearsal.arm.app import create_app
from targets.rehearsal.arm.faults import FAULTS

__all__ = ["FAULTS", "create_app"]
