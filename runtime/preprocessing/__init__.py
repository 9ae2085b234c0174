"""Declared steps between what clients send and what the graph takes; builder and server share them."""
