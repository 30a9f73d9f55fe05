"""The embedded stack: runs the whole system on one machine without Docker, on real servers that pip brings."""
