"""Loopback stand-ins of the clouds, for ``--rehearse``: what a deployment does, without an account."""
