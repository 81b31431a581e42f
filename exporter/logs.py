"""Logs: one line an event on standard error, as logfmt or JSON."""

import logging
import sys
from enum import StrEnum

import structlog


class LogFormat(StrEnum):
    """How a line is written."""

    LOGFMT = "logfmt"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important event that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


def configure(level: LogLevel, style: LogFormat) -> None:
    """Set up structlog for the process."""
    leading = ["timestamp", "level", "event"]
    renderer = (
        structlog.processors.JSONRenderer()
        if style is LogFormat.JSON
        else structlog.processors.LogfmtRenderer(key_order=leading)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
