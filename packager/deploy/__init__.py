"""Deployments: plan → confirm → apply → smoke-test → promote, or discard; the same machine for every target."""

from packager.deploy.acceleration import with_acceleration
from packager.deploy.machine import DeployOutcome, deploy, destroy, rollback, settle
from packager.deploy.planning import check, plan
from packager.deploy.search import find, find_all

__all__ = [
    "DeployOutcome",
    "check",
    "deploy",
    "destroy",
    "find",
    "find_all",
    "plan",
    "rollback",
    "settle",
    "with_acceleration",
]
