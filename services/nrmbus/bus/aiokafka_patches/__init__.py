"""Workarounds for aiokafka, each with the test that tells when it may go."""
