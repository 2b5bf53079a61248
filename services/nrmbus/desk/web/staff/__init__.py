"""An agency's staff: who they are to the desk, and what each of them may do."""
