"""Promises of an agency's door, checked over HTTP at whatever answers there."""
