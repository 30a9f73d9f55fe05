"""Celery over Kafka, tested on a real broker."""
