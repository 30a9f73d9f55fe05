"""Step 1 of 7, accept: the HTTP API."""
