"""Azure's management API (ARM): who asks, how it is reached, and what its refusals mean."""
