"""The engine: passes over many policies and subjects, and a day replayed, each with its growth."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from paramedic.engine import Stance, think
from paramedic.facts import with_causes
from paramedic.journal import Journal, Recorder, recorded
from paramedic.journal.readings import parent_of
from paramedic.mind import Mind, book_of, intent
from paramedic.model.facts import Facts, Subject, SubjectFacts, Value
from paramedic.model.policy import Policy
from paramedic.model.readings import Identity
from paramedic.model.record import Status
from paramedic.policy.load import load
from paramedic.replay import replay
from paramedic.rulebook import files_of, load_files
from paramedic.windows import Windows

MIB = 2**20
PASSES = 120
DAY_S = 86400.0
WALL = 1_780_000_000.0
CONDITIONS = {
    "uwsgi.worker": (
        "rss > {n} MiB and requests > 50",
        "uss > 4 * baseline_uss and not (status is busy)",
        "slope(rss, 1h) > {n} MiB/h",
        "avg(rss, 10m) > {n} MiB",
    ),
    "uwsgi": (
        "count(worker.status is busy) >= {n}",
        "sum(worker.rss) > {n} GiB or forecast(uss, 24h) > 4 * baseline_uss",
        "listen_queue > {n}",
    ),
    "supervisor.program": ("diagnosis is program-fatal", "age < {n} s and state is BACKOFF"),
    "supervisor": ("diagnosis in [daemon-dead, socket-stale]", "any(program.state is FATAL)"),
    "orphan": ("kind is program and rss > {n} MiB",),
    "host": ("memory.available < {n} MiB", "avg(memory.used_percent, 5m) > 90 %"),
}
SHARES = {
    "uwsgi.worker": 0.14,
    "uwsgi": 0.2,
    "supervisor.program": 0.1,
    "supervisor": 0.2,
    "orphan": 0.05,
    "host": 0.31,
}


def policies_of(count: int) -> tuple[Policy, ...]:
    """Policies of mixed kinds, a third of them looking through windows or at children."""
    lines = ["policies:"]
    for kind, share in SHARES.items():
        for n in range(round(count * share)):
            when = CONDITIONS[kind][n % len(CONDITIONS[kind])].format(n=200 + n)
            do = "notify"
            lines.append(f'  - {{ name: {kind}-{n}, watch: {kind}, when: "{when}", for: 1m, do: [{do}] }}')
    return load([("bench.yaml", "\n".join(lines))])


def subjects_of(count: int) -> list[Subject]:
    """Of a hundred: 40 workers, 4 instances, 20 programs, 8 daemons, 28 orphans (and the host)."""
    hundreds = count / 100
    found = [Subject("host", "host")]
    found += [Subject("uwsgi", f"app{n}") for n in range(round(4 * hundreds))]
    found += [Subject("uwsgi.worker", f"app{n % round(4 * hundreds)}/{n}") for n in range(round(40 * hundreds))]
    found += [Subject("supervisor", f"main{n}") for n in range(round(8 * hundreds))]
    found += [Subject("supervisor.program", f"main{n % round(8 * hundreds)}/p{n}") for n in range(round(20 * hundreds))]
    found += [Subject("orphan", f"main0/p@{n}") for n in range(round(28 * hundreds))]
    return found


def fields_of(subject: Subject, chance: random.Random, step: int) -> dict[str, Value]:
    """A busy, leaking, mostly healthy host: one subject in fifty is in trouble."""
    rss, is_bad = (100.0 + step / 10 + chance.random() * 40) * MIB, zlib.crc32(str(subject).encode()) % 50 == 0
    memory: dict[str, Value] = {"rss": 900.0 * MIB if is_bad else rss, "uss": rss * 0.8, "baseline_uss": 90.0 * MIB}
    if subject.kind == "host":
        return {"memory.used_percent": 50.0 + chance.random(), "memory.available": 9e9}
    if subject.kind == "uwsgi":
        return {"diagnosis": "ok", "listen_queue": 0.0, **memory}
    if subject.kind == "uwsgi.worker":
        return {"requests": float(step), "status": "busy" if chance.random() < 0.3 else "idle", **memory}
    if subject.kind == "supervisor":
        return {"diagnosis": "ok"}
    if subject.kind == "supervisor.program":
        bad = "program-fatal" if is_bad else "ok"
        return {"diagnosis": bad, "state": "FATAL" if is_bad else "RUNNING", "age": 900.0}
    return {"kind": "program", "rss": rss}


def facts_at(subjects: list[Subject], step: int, every_s: float = 5.0) -> Facts:
    """One sample."""
    chance = random.Random(step)
    found = {
        s: SubjectFacts(s, fields_of(s, chance, step), parent=parent_of(s), identity=Identity(1, 1)) for s in subjects
    }
    return Facts(1000.0 + step * every_s, WALL + step * every_s, with_causes(found))


def passes(policy_count: int, subject_count: int) -> tuple[int, list[float], int]:
    """(pairs of policy and subject, milliseconds of each pass, cases firing in the last)."""
    book, subjects = book_of(policies_of(policy_count)), subjects_of(subject_count)
    pairs = sum(sum(s.kind == policy.watch for s in subjects) for policy in book.policies)
    mind, past, took, firing = Mind(), Windows(book.needed), [], 0
    for step in range(PASSES):
        facts = facts_at(subjects, step)
        began = time.process_time()
        past.take(facts)
        thought = think(mind, book, facts, past, Stance())
        took.append((time.process_time() - began) * 1000)
        begun = [intent(act, thought.mind, facts, facts.monotonic) for act in thought.acts]
        done = [replace(made, id=n, status=Status.DONE, finished=facts.monotonic) for n, made in enumerate(begun)]
        mind = replace(thought.mind, attempts=(*thought.mind.attempts, *done))
        firing = len(thought.decisions)
    return pairs, took[10:], firing


def print_passes() -> None:
    """One size, twice and four times as many subjects, and as many policies."""
    print("engine: evaluate, track and decide, windows included; CPU milliseconds per pass")
    print("  policies  subjects    pairs   median      p99    worst  us/pair  firing")
    for policies, subjects in ((200, 500), (200, 1000), (200, 2000), (400, 500), (800, 500)):
        pairs, took, firing = passes(policies, subjects)
        middle, late = statistics.median(took), sorted(took)[int(len(took) * 0.99)]
        row = f"{middle:8.1f} {late:8.1f} {max(took):8.1f} {middle * 1000 / pairs:8.2f} {firing:7}"
        print(f"{policies:10} {subjects:9} {pairs:8} {row}", flush=True)


def day(workers: int, hours: float) -> Iterator[Facts]:
    """Samples every 5 s of one instance with so many workers, its daemon and two programs."""
    subjects = [Subject("host", "host"), Subject("uwsgi", "app0"), Subject("supervisor", "main0")]
    subjects += [Subject("uwsgi.worker", f"app0/{n}") for n in range(workers)]
    subjects += [Subject("supervisor.program", f"main0/p{n}") for n in range(2)]
    for step in range(int(hours * 3600 / 5)):
        yield facts_at(subjects, step)


def _take(day: Iterable[Facts], recorder: Recorder) -> None:
    for facts in day:
        recorder.take(facts)
    recorder.flush()


def print_replay() -> None:
    """A day of 16 workers through the shipped policies, from the journal."""
    print("\nreplay: 16 workers every 5 s through the shipped policies; CPU seconds, reading the journal included")
    print("     hours   samples  seconds  MiB on disk  actions")
    policies = load_files(files_of(["shipped"]))
    for hours in (24.0, 48.0, 96.0):
        with tempfile.TemporaryDirectory(prefix="paramedic-bench-") as folder:
            path = Path(folder) / "journal.db"
            journal = Journal(str(path))
            recorder = Recorder(journal)
            journal.durably(lambda hours=hours, recorder=recorder: _take(day(16, hours), recorder))  # type: ignore[misc]
            journal.close()
            size = sum(file.stat().st_size for file in Path(folder).iterdir()) / MIB
            began = time.process_time()
            found = replay(policies, recorded(Journal(str(path), read_only=True).samples(0.0), 0.0), [], Stance())
            took = time.process_time() - began
        print(f"{hours:10.0f} {found.passes:9} {took:8.2f} {size:12.1f} {len(found.would):8}", flush=True)
