"""Web: the page, the interface of the command line, and who may ask."""
