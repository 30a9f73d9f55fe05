"""Celery over Kafka: a kombu transport that imports nothing of this project."""
