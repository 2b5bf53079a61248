"""CloudEvents 1.0.2 over HTTP: structured, binary and batch mode, in and out."""
