"""Measures the whole system on this machine, each figure beside its limit: `make bench`."""
