"""What stops a seeding, and what only delays it."""

from __future__ import annotations


class SeedError(Exception):
    """What stopped the seeding, in one line that says what to do about it; trying again may help."""

    exit_code = 1


class HopelessError(SeedError):
    """What trying again does not change: a mistake in what is asked for, or bytes that are not what was announced."""

    exit_code = 2


class Transient(Exception):
    """An answer, a silence or a broken connection that is worth another try.

    `retry_after` is the time in seconds that the source itself asks to be left alone.
    """

    def __init__(self, line: str, retry_after: float | None = None) -> None:
        super().__init__(line)
        self.retry_after = retry_after


class RangeIgnored(Exception):
    """The source answers with the whole file where its rest was asked for: what is here already is of no use."""


class WrongContent(Exception):
    """A file of another length or checksum than announced: fetched once more from the start, then refused."""
