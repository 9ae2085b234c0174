"""One plugin a framework, and the modules that they share; a framework is imported inside functions only."""
