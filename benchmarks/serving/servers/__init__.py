"""Programs that run in the peers' own environments; they may import nothing of dray."""
