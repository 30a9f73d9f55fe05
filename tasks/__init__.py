"""Steps 4 to 6 of 7: the Celery tasks that count votes, and what they tell."""
