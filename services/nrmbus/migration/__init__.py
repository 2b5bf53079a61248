"""Migration service: holds on removal, permits to stay."""
