"""What HTTP answers say about trying again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_TIMEOUT, _TOO_MANY, _SERVER_ERROR = 408, 429, 500


def passes(status: int) -> bool:
    """Whether an error of this status may be another answer the next time: 408, 429 and 5xx."""
    return status in (_TIMEOUT, _TOO_MANY) or status >= _SERVER_ERROR


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to be left alone (Retry-After: seconds or a date, RFC 9110 10.2.3), if it does."""
    value = {name.lower(): each for name, each in headers.items()}.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
