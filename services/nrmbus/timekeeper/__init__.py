"""Clocks of every duty of the Rules; a missed duty is published automatically."""
