"""Erasure: what is destroyed, and when."""
