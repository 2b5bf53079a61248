"""Standards at the edge: adapters above the door of a desk, which know its HTTP API and nothing behind it."""
