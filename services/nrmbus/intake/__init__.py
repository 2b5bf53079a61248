"""Anonymous intake: receipt codes, sealed messages, and the file that the public page and the desk share."""
