"""Commands that speak to an agency's desk."""
