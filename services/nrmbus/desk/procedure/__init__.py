"""Procedures of agencies, as a desk runs them."""
