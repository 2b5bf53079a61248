"""Doing something in a case: the form of an event, its draft, checked answers and what became of it."""
