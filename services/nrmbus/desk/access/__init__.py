"""Access to letters: on record before one is opened."""
