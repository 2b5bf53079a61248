"""Bytes: JSON, headers, signature, letter, registration; a decoder whose errors carry no value. See README.md."""
