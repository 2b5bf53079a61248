"""Notices by e-mail: a desk tells its people that something waits, without a word of what."""
