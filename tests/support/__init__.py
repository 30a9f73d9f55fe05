"""Tests: what many of them share: the running system, clients of it, and waiting with a limit."""
