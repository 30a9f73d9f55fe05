"""Step 5 of 7, store: how the tables came to be, step by step."""
