"""Keys: what they sign and open, and how they lie on disk."""
