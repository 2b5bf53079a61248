"""The work list and the pages by role."""
