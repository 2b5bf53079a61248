"""Webhooks: signed notices to the agency's own system that something happened at its desk."""
