"""Profiles for people: their mistakes by line, each rule explained, two profiles compared, tables and diagrams."""
