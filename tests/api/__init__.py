"""Step 1 of 7, accept: tests of the rooms of the API and of casting."""
