"""Step 5 of 7, store: the migrations, in their order."""
