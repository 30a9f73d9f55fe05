"""The embedded stack: what can go wrong with it.

    LocalError
    ├── JarMismatch        a jar is not the one that jars.lock names
    ├── JarsUnavailable    the jars are not here and cannot be fetched
    ├── PortTaken          a port that was asked for is somebody else's
    ├── AlreadyRunning     another one runs in the same data directory
    ├── NotOurs            a cluster is wanted of what is none, or the reverse
    ├── ServerFailed       a server did not come up, or its data cannot be used
    ├── StepFailed         a one-shot command (migrate, topics) ended with an error
    └── Cancelled          the user stopped it before it was up

The text of each is one line for the user; no stack trace is needed to act on it.
"""


class LocalError(Exception):
    """Anything that keeps the embedded stack from running."""


class JarMismatch(LocalError):
    """A jar's SHA-256 or size is not what `jars.lock` says; nothing is run with it."""


class JarsUnavailable(LocalError):
    """The jars are not on this machine and could not be downloaded."""


class PortTaken(LocalError):
    """A port that the user asked for is in use."""


class AlreadyRunning(LocalError):
    """Another process has this data directory open."""


class NotOurs(LocalError):
    """What was asked for is not what is there: a cluster of somebody else's Kafka, or of one broker's data."""


class ServerFailed(LocalError):
    """A server ended before it was ready, or was not ready in time."""


class StepFailed(LocalError):
    """A one-shot command ended with an error, or not in time."""


class Cancelled(LocalError):
    """The user stopped it before it was up."""
