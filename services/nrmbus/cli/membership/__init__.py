"""Commands about who takes part: agencies, admitters, invitations, keys."""
