"""Kafka: clients, topics, rights and quotas."""
