"""The HTTP dialects, one module each: parse, ask the engine, encode; no logic."""
