"""The listening process: sockets, signals, hand-over and draining around uvicorn."""
