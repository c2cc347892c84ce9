"""Progress of long work: what is under way, for how long, and about how long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console

HEARTBEAT_S = 30.0
"""Without a terminal (CI), a step says that it is alive this often."""

console = Console(highlight=False, soft_wrap=True)
"""Results."""

notes = Console(highlight=False, soft_wrap=True, stderr=True)
"""Progress and faults: not what `eval "$(make -s env)"` reads."""


def span(seconds: float) -> str:
    """Seconds as people say them: `7 s`, `2 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


@contextmanager
def step(title: str, *, about_s: float | None = None) -> Iterator[None]:
    """Show `title` while the block runs, with elapsed time and, where known, the estimate; then a closing line."""
    started = time.monotonic()
    estimate = f" (about {span(about_s)})" if about_s else ""

    def text() -> str:
        return f"{title}{estimate}: {span(time.monotonic() - started)}"

    finished = threading.Event()
    with notes.status(text()) if notes.is_terminal else nullcontext() as status:
        if status:
            every_s, show = 1.0, lambda: status.update(text())
        else:
            every_s, show = HEARTBEAT_S, lambda: notes.print(f"  ... {text()}")
        ticker = threading.Thread(target=_tick, args=(finished, every_s, show), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            finished.set()
            ticker.join()
    notes.print(f"  [green]✓[/green] {title} [dim]{span(time.monotonic() - started)}[/dim]")


def _tick(finished: threading.Event, every_s: float, show: Callable[[], None]) -> None:
    while not finished.wait(every_s):
        show()
