"""Smoke tests: does the running thing answer as the original did? And single requests, built from what is at hand."""

from packager.smoke.answers import request_for
from packager.smoke.invocation import build_request
from packager.smoke.run import run_smoke

__all__ = ["build_request", "request_for", "run_smoke"]
