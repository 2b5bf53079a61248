"""Commands that run a bus and take care of it."""
