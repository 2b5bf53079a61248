"""Commands about the members of a bus: agencies, admitters, invitations, keys."""
