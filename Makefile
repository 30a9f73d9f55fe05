# Each of these sets up what it needs by itself: Python 3.11 is enough. `make run` is where to start.

.PHONY: run test bench chaos check clean setup

run: setup
	@.venv/bin/python -P -m polling up

test: setup
	@scripts/test

bench: setup
	@.venv/bin/python -m bench

# WITH="--minutes 5 --seed 7" are its options; `make chaos WITH=--help` tells of them.
chaos: setup
	@PYTHONPATH=tests .venv/bin/python -P -m chaos $(WITH)

check: setup
	@scripts/check

# The packages, where they are not yet what setup.py and constraints.txt say.
setup:
	@scripts/setup

# What was made here, but not the votes: those are in .polling, and only you know whether they may go.
clean:
	rm -rf .venv .test build dist *.egg-info .coverage htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
