"""Refusals: what may not be registered, rule by rule."""
