"""From an ONNX graph to a verified circuit: each step is a function of the previous step's frozen value.

    model ──frontend──▶ Cut (before · Network · after) ──fixing──▶ Circuit ──tracing──▶ Traced ──project──▶ folder
             (trees: lowering)         └─(trees: grid)─┘        └──reference (integers, numpy) ══ simulator (Verilator)

``network`` and ``ir`` are the two vocabularies, in floats and in integers. ``reference`` reads ``ir`` alone and knows
nothing of alkaid, which ``tracing``, ``growing`` and ``mutation`` alone use: that is what makes their agreement worth
something.
"""
