"""Kafka: topics as files, clients from one table, the clock, the bus's folder, the embedded broker."""
