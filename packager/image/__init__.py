"""Container images: built with or without an engine, read, pushed and verified."""
