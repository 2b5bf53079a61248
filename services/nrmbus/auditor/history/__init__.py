"""History: verified, selected, searched and followed."""
