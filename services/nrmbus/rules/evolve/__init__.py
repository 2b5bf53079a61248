"""Evolution of a view: what each event makes of it."""
