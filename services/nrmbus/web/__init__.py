"""What all pages for people share: words in three languages, components, look, and the guard of every answer."""
