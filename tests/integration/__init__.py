"""The integration tests: a vote's whole way, under load, kill -9 and outages."""
