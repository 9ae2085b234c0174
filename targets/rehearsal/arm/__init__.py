"""The part of Azure Resource Manager that container groups need, on loopback: ``app.create_app``, ``faults.FAULTS``."""
