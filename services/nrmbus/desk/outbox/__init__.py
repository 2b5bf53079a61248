"""Outbox: a row from draft to receipt."""
