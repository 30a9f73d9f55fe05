"""Chaos: breaks everything breakable on real processes, and holds what is stored against what was answered.

`python -m chaos` is `make chaos`; `test_*.py` are the part of it that belongs in `make test`.
"""
