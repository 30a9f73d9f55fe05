"""All rooms: what every command does first: reads the settings, sets up the logs and the garbage collector."""

from __future__ import annotations

import gc

from polling import settings
from polling.telemetry import logs


def configured_for(role: str) -> settings.Settings:
    """The settings of this process, which logs as `role` from now on.

    Raises:
        SettingError: a variable is missing or malformed.
    """
    spare_the_collector()
    configured = settings.read()
    logs.set_up_logs(role, configured.log_level, configured.log_format)
    return configured


def spare_the_collector() -> None:
    """Lets the garbage collector run less often. Batches are thousands of short-lived objects without cycles; by
    default it would walk over each batch a dozen times (a quarter of a microsecond a vote)."""
    gc.set_threshold(50_000, 20, 50)
