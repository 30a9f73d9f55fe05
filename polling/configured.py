"""All rooms: what every command does first: reads the settings and sets up the logs."""

from __future__ import annotations

from polling import settings
from polling.telemetry import logs


def configured_for(role: str) -> settings.Settings:
    """The settings of this process, which logs as `role` from now on.

    Raises:
        SettingError: a variable is missing or malformed.
    """
    configured = settings.read()
    logs.set_up_logs(role, configured.log_level, configured.log_format)
    return configured
