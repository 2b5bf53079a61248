"""Embedded Kafka: fetched once, started as a child, gone with its parent."""
