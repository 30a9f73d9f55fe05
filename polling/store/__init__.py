"""Step 5 of 7, store: the tables, migrations and queries of PostgreSQL."""
