"""Runtimes as processes of this machine, and container engines."""
