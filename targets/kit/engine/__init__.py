"""Where the runtime runs on this machine: processes now, container engines later."""
