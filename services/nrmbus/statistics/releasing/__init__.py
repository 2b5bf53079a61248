"""Release of figures by two people of the statistics, on pages of their own."""
