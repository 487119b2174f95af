"""Feed a target: so many mutated examples, or as many as its CPU time allows, but never just a few."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from pathlib import Path

from fuzz.hands import tied
from fuzz.mutate import mutated
from fuzz.targets import TARGETS

SLOWEST_S = 2.0
LEAST = 21


class Defect(AssertionError):
    """An input that a target does not bear; the message has how to make it again."""


def feed(name: str, seed: int, most: int, seconds: float) -> int:
    """How many inputs were read; raises Defect with the first that broke, took too long or led to an action."""
    target, until = TARGETS[name], time.thread_time() + seconds
    for at in range(most):
        if at >= LEAST and time.thread_time() > until:
            return at
        data = mutated(random.Random(f"{name} {seed} {at}"), target.corpus)
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            read = target.prepare(data, folder)
            began = time.thread_time()
            with tied(), contextlib.suppress(*target.errors):
                read()
            took = time.thread_time() - began
        except BaseException as error:
            raise Defect(f"{name}, seed {seed}, input {at}: {type(error).__name__} of {data[:3000]!r}") from error
        finally:
            shutil.rmtree(folder)
        if took > SLOWEST_S:
            raise Defect(f"{name}, seed {seed}, input {at}: it took {took:.1f} s to read {data[:3000]!r}")
    return most
