"""Tests of hostile input: what an attacker sends by hand, to a system that others use meanwhile."""
