"""Cleaning: remove the revisions that nobody reads any more and no rollback may want."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from weight_seeder import served, trash
from weight_seeder.console import say
from weight_seeder.faults import SeedError
from weight_seeder.known import published_folders
from weight_seeder.lock import Lease
from weight_seeder.volume import INCOMING, Place

_POLL_SECONDS = 5.0
_ABANDONED_SECONDS = 86_400.0
# SLUG/REVISION-SELECTION as the program names folders; what else lies on a volume belongs to somebody.
_SEEDED = re.compile(r"[^/]+/([0-9a-f]{12}|unpinned)-[0-9a-f]{8}")


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """All published folders go but that of `place`, the `keep` others that were served last, and those in use.

    `in_use` names the folders that pods have; it is asked before and after they were renamed away. `lease` makes the
    lease of a lock file. A folder that is just being seeded or repaired is left alone.
    """

    place: Place
    keep: int
    in_use: Callable[[], set[str]]
    lease: Callable[[Path], Lease]

    def run(self, *, wait: float) -> None:
        """Clean; folders in use that are one too many are waited for, `wait` seconds in all.

        Raises:
            SeedError: it is not known what is in use: nothing was removed.
        """
        end = time.monotonic() + wait
        lease = self._lease()
        lease.acquire(busy="this volume is being cleaned")
        try:
            left = self._once(lease)
            self._clean_incoming()
        finally:
            lease.release()
        while left and (seconds := end - time.monotonic()) > 0:
            time.sleep(min(_POLL_SECONDS, seconds))
            left = self._again(left)
        if left:
            say(f"still in use, and removed after the next change: {', '.join(left)}")

    def run_unless_another_does(self) -> None:
        """Clean, but leave it to another one that is at it."""
        lease = self._lease()
        if not lease.try_acquire():
            say("this volume is being cleaned by another")
            return
        try:
            self._once(lease)
            self._clean_incoming()
        finally:
            lease.release()

    def _lease(self) -> Lease:
        """One cleaner a volume: another would put back what this one has renamed away."""
        path = self.place.volume / INCOMING / ".clean.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return self.lease(path)

    def _again(self, left: list[str]) -> list[str]:
        """Another round, while pods end; one that is not answered is not the last."""
        lease = self._lease()
        if not lease.try_acquire():
            return left
        try:
            return self._once(lease) if set(left) - self.in_use() else left
        except SeedError as error:
            say(f"asking again: {error}")
            return left
        finally:
            lease.release()

    def _once(self, cleaning: Lease) -> list[str]:
        """Remove what can be; returns the folders that go but for the pods that have them."""
        root = self.place.volume
        used = self.in_use()
        trash.restore(root, self.lease)
        others = sorted(self._others(), key=lambda name: served.rank(root / name), reverse=True)
        with ExitStack() as stack:
            leases = {
                name: self.lease(Place(volume=root, folder=name).lock)
                for name in others[self.keep :]
                if name not in used
            }
            held = {name: each for name, each in leases.items() if each.try_acquire()}
            for each in held.values():
                stack.callback(each.release)
            cleaning.check()
            removed = trash.remove(root, list(held), self.in_use)
            for name in removed:
                held[name].discard()
        say(f"{len(removed)} folders removed, {len(others) - len(removed)} kept beside {self.place.folder}")
        return [name for name in others[self.keep :] if name in used or (name in held and name not in removed)]

    def _others(self) -> Iterator[str]:
        for path in published_folders(self.place.volume):
            name = path.relative_to(self.place.volume).as_posix()
            if name != self.place.folder and _SEEDED.fullmatch(name):
                yield name

    def _clean_incoming(self) -> None:
        """Remove unfinished work that nobody has gone on with for a day."""
        for work in (self.place.volume / INCOMING).iterdir():
            if work == self.place.work or work.name.startswith(trash.PREFIX) or not _is_abandoned(work):
                continue
            held = self.lease(work.with_name(f"{work.name}.lock"))
            if not held.try_acquire():
                continue
            # Only now is it sure that nobody goes on with it.
            if _is_abandoned(work):
                trash.remove_tree(work)
                held.discard()
                say(f"{INCOMING}/{work.name} removed: nobody went on with it for a day")
            else:
                held.release()


def _is_abandoned(work: Path) -> bool:
    """Whether nothing in a work folder has changed for a day; where something vanishes, somebody is at work."""
    try:
        newest = max(path.lstat().st_mtime for path in (work, *work.rglob("*")))
    except FileNotFoundError:
        return False
    return work.is_dir() and time.time() - newest > _ABANDONED_SECONDS
