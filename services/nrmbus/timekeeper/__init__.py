"""Clocks: holds every duty of the Rules, and says by itself when one was missed."""
