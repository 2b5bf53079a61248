"""Office of the National Coordinator: figures, missed duties as counts, and the profile in force; no person and no case."""
