"""One module a revision, in order; ``schema.REVISION`` names the last."""
