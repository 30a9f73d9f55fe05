"""All rooms: logs, metrics, and how they are asked for. Metrics are one list, in `polling.telemetry.metrics`."""

from polling.telemetry.logs import logger, set_up_logs

__all__ = ["logger", "set_up_logs"]
