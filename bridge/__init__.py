"""Step 3 of 7, log to task: the consumer that hands batches of votes to Celery."""
