"""Keys and certificate of the agency, in time and after a loss."""
