"""The unit tests: the pure rules, and the counting statement against a model."""
