"""Inbox: a record is verified, and taken in one transaction."""
