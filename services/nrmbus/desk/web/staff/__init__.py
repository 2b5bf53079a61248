"""Sign-in, own account, and the pages of administrators and supervisors."""
