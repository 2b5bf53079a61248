"""Commands that run a bus and look after it."""
