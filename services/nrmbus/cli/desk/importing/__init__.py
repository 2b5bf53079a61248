"""Import of an agency's running cases from a table: read, checked by the desk, published row by row."""
