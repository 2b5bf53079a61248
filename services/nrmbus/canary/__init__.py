"""Test hand-overs every minute between two test agencies, whose age tells whether the bus hands anything over."""
