"""Less memory for an agent that runs for months: no import of what it never uses, what the start used given back."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import inspect
import sys
import types
from collections.abc import Iterator, Mapping

YOUNG = 10_000  # objects; with the usual 700 every pass is interrupted several times


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Import what follows as if these optional modules were not installed: hashlib does without OpenSSL."""
    with _standing_in(dict.fromkeys(names)):
        yield


@contextlib.contextmanager
def without_asyncio() -> Iterator[None]:
    """Import APScheduler, whose util.py takes one function from asyncio; from Python 3.14 on it takes that of inspect.

    asyncio brings ssl and OpenSSL along: 6 MiB.
    """
    stub = types.ModuleType("asyncio")
    stub.__dict__["iscoroutinefunction"] = inspect.iscoroutinefunction
    with _standing_in({"asyncio": stub}):
        yield


@contextlib.contextmanager
def _standing_in(stubs: Mapping[str, types.ModuleType | None]) -> Iterator[None]:
    """These in the place of modules that were not imported yet, for as long as it lasts; None is one that is absent."""
    placed = {name: stub for name, stub in stubs.items() if name not in sys.modules}
    sys.modules.update(placed)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in placed:
            sys.modules.pop(name, None)


def settle() -> None:
    """Free what only the start needed, and let the collector look at what stays no more: 85 ms each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
    with contextlib.suppress(AttributeError):  # glibc has it, musl does not
        ctypes.CDLL(None).malloc_trim(0)
