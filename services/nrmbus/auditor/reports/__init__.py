"""Reports: answers about cases, agencies and traces."""
