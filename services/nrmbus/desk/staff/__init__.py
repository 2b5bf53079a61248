"""The agency's people: members, permissions, passwords, second factors, sessions."""
