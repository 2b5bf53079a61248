"""HTTP interface on 127.0.0.1 for the agency's own system."""
