"""Logs: one JSON object a line on standard error, ours and those of the libraries alike."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# Shared by our own loggers and by the standard library's, so that a reader sees one shape.
_STEPS: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
)


def configure_logging(level: str) -> None:
    """Send every log line of this process to standard error as JSON.

    Args:
        level: debug, info, warning or error; what is below it is dropped before it is built.
    Effects: replaces the handlers of the root logger; Python's warnings become log lines. A line holds
        `timestamp` (UTC), `level`, `event` and the fields. JSON escapes control characters and all that
        isn't ASCII, so that no value can break a line or steer a terminal.
    """
    numeric_level = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_STEPS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(numeric_level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_logger_name, *_STEPS],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _in_order,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(numeric_level)
    # That the database is away is said once, by us; the pool would say it with every try to connect.
    logging.getLogger("psycopg.pool").setLevel(max(numeric_level, logging.ERROR))
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a closed standard error must not stop the service


def _logger_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name the library that speaks; our own events say enough."""
    record: logging.LogRecord = event["_record"]
    event["logger"] = record.name
    return event


def _in_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put what every line has first, for people who read them raw."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    # DEL and the C1 controls: the latter are escaped as not being ASCII, DEL alone passes JSON.
    return {
        key: value.replace("\x7f", "\\x7f") if isinstance(value, str) else value
        for key, value in {**first, **event}.items()
    }
