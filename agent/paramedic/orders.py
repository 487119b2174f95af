"""What a person ordered: a pause, and incidents taken over. The command line writes the file, the agent reads it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from paramedic.host import clock, files, folders, texts
from paramedic.model.record import Orders, Pause

MAX_BYTES = 256 * 1024
FOREVER_S = 3600.0
PATIENCE_S = 5.0
LONGEST_S = 30 * 86400.0
NONE = Orders()
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


def path_of(state_dir: str) -> str:
    """Where the orders stand."""
    return f"{state_dir}/orders.json"


def read(state_dir: str, wall: float, monotonic: float, boot_id: str) -> Orders:
    """The orders in force. Within one boot a pause ends by the monotonic clock, so a clock step does not end it.

    Orders that cannot be read are a pause: nobody knows whether somebody ordered one.
    """
    try:
        os.stat(path_of(state_dir))
        document = _load(state_dir)
        pause = document.get("pause")
        acknowledged = {str(name): str(why) for name, why in document.get("acknowledged", {}).items()}
        return Orders(_pause(pause, wall, monotonic, boot_id) if pause else None, acknowledged)
    except FileNotFoundError:
        return NONE
    except UNREADABLE as error:
        why = f"{path_of(state_dir)} cannot be read ({error}); paramedic resume writes it anew"
        return Orders(Pause(why, wall, wall + FOREVER_S))


def _pause(pause: dict[str, Any], wall: float, monotonic: float, boot_id: str) -> Pause | None:
    is_same_boot = pause["boot"] == boot_id
    left = float(pause["until_monotonic"]) - monotonic if is_same_boot else float(pause["until"]) - wall
    return Pause(str(pause["why"]), float(pause["since"]), wall + min(left, LONGEST_S)) if left > 0 else None


def pause(state_dir: str, seconds: float, why: str, wall: float, monotonic: float, boot_id: str) -> None:
    """Pause for so long from now; replaces an earlier pause."""
    order = {
        "why": why,
        "since": wall,
        "until": wall + seconds,
        "until_monotonic": monotonic + seconds,
        "boot": boot_id,
    }
    _change(state_dir, lambda document: document.__setitem__("pause", order))


def resume(state_dir: str) -> None:
    """End the pause; orders that cannot be read are written anew."""
    _change(state_dir, lambda document: document.pop("pause", None), is_anew=True)


def acknowledge(state_dir: str, incident: str, why: str) -> None:
    """Take an incident over."""
    _change(state_dir, lambda document: document.setdefault("acknowledged", {}).__setitem__(incident, why))


def give_back(state_dir: str, incident: str) -> None:
    """Give an incident back to the agent."""
    _change(state_dir, lambda document: document.get("acknowledged", {}).pop(incident, None))


def keep_only(state_dir: str, incidents: set[str]) -> None:
    """Forget orders about incidents that are not open any more."""

    def prune(document: dict[str, Any]) -> None:
        kept = {name: why for name, why in document.get("acknowledged", {}).items() if name in incidents}
        document["acknowledged"] = kept

    _change(state_dir, prune)


def _load(state_dir: str) -> dict[str, Any]:
    try:
        found = json.loads(texts.read_text(path_of(state_dir), MAX_BYTES))
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("acknowledged", {}), dict):
        raise ValueError("not a mapping")
    return found


def _change(state_dir: str, change: Callable[[dict[str, Any]], object], is_anew: bool = False) -> None:
    with _locked(state_dir):
        try:
            document = _load(state_dir)
        except (ValueError, RecursionError):
            if not is_anew:
                raise
            document = {}
        change(document)
        files.write_private(path_of(state_dir), json.dumps(document).encode())


@contextlib.contextmanager
def _locked(state_dir: str) -> Iterator[None]:
    """Two people may order at once."""
    folders.own(state_dir)
    fd = os.open(f"{state_dir}/orders.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        until = clock.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if clock.monotonic() > until:
                raise TimeoutError(f"somebody else has been changing the orders for {PATIENCE_S:.0f} s")
            clock.rest(0.02)
        yield
    finally:
        os.close(fd)
