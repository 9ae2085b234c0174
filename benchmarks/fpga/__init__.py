"""Small networks as circuits, over bit widths: accuracy, resources, latency, what was compared, and the time taken."""
