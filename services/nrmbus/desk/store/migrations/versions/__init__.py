"""Revisions of the tables, one module each; ``schema.REVISION`` names the last."""
