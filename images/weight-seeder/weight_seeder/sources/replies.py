"""What replies over HTTP are, beyond their status: of which part of a file, and from whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from weight_seeder.faults import RangeIgnored, Transient

if TYPE_CHECKING:
    # A source that does without it does not load it.
    import httpx2

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def check_rest(
    path: str, *, offset: int, size: int, partial: bool, content_range: str | None, length: int | None
) -> None:
    """Refuse a reply to `Range: bytes=OFFSET-` that is not of the rest of a file of `size`, before a byte is written.

    What is here already is kept: the reply may be of a proxy that has another file, or an error page with a status of
    200. One that ends early is of the rest as well (RFC 9110 15.3.7), and is taken as far as it goes.

    Raises:
        RangeIgnored: it is the whole file.
        Transient: it is of another place or of another file.
    """
    if not partial:
        if length is None or length == size:
            raise RangeIgnored
        raise Transient(f"{path}: asked for it from byte {offset} on, and got {length} bytes of something else")
    rest = size - offset
    if content_range is None:
        right = length is None or length == rest
    else:
        found = _CONTENT_RANGE.fullmatch(content_range.strip().lower())
        right = (
            found is not None
            and int(found[1]) == offset
            and (found[3] == "*" or int(found[3]) == size)
            and int(found[2]) < size
            and (length is None or length <= rest)
        )
    if not right:
        got = f"{length} bytes" if content_range is None else repr(content_range)
        raise Transient(f"{path}: asked for it from byte {offset} of {size} on, and got {got}")


def elsewhere(reply: httpx2.Response) -> bool:
    """Whether it is of another host than was asked, to which a redirect has led.

    That one is not told who asks: what it lets in is the redirect's signature, which runs out.
    """
    return bool(reply.history) and reply.history[0].url.netloc != reply.url.netloc
