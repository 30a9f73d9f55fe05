"""The polling system: polls, the door votes come in by, and the parts all rooms share."""

__version__ = "0.1.0"
