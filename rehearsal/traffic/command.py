"""Traffic by hand: a line that lives, then the summary."""

from __future__ import annotations

import asyncio
import contextlib

from rich.live import Live

from rehearsal.progress import HEARTBEAT_S, console, notes
from rehearsal.traffic.load import Load
from rehearsal.traffic.outcome import Ending
from rehearsal.traffic.result import Result
from rehearsal.traffic.sending import Tally, send

_EVERY_S = 0.25


def run(load: Load) -> Result:
    """Send the load, showing how it goes."""
    return asyncio.run(_shown(load))


def line(load: Load, tally: Tally) -> str:
    """How it goes, in a line."""
    ended = sum(tally.endings.values())
    lost = ended - tally.endings[Ending.COMPLETE]
    return f"{ended} of {load.streams} streams ended, {tally.open} open, {lost} lost"


async def _shown(load: Load) -> Result:
    tally = Tally()
    with Live(console=notes, transient=True) if notes.is_terminal else contextlib.nullcontext() as live:
        showing = asyncio.create_task(_show(load, tally, live))
        try:
            result = await send(load, tally)
        finally:
            showing.cancel()
    console.print(result.summary(), markup=False)
    return result


async def _show(load: Load, tally: Tally, live: Live | None) -> None:
    while True:
        await asyncio.sleep(_EVERY_S if live else HEARTBEAT_S)
        if live:
            live.update(line(load, tally))
        else:
            notes.print(f"  ... {line(load, tally)}")
