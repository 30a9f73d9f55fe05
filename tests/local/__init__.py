"""The embedded stack, tested with real servers and real processes."""
