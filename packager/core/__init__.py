"""The vocabulary of the builder and the plugin interface: all that a third-party converter or target needs."""
