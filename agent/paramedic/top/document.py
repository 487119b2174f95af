"""The rows of one look as one JSON document, for `top --once --json`. Unknown is null; `unknown` says why."""

from __future__ import annotations

from typing import Any

from paramedic.model.facts import Unknown
from paramedic.top.seen import Daemon, Instance, ProgramRow, Seen, Sizes, WorkerRow

_SIZES = ("rss", "pss", "uss", "swap", "slope", "read_age")


def as_document(seen: Seen) -> dict[str, Any]:
    """Bytes, seconds, bytes per second (`slope`), requests per second (`rate`); `at` is epoch seconds."""
    host: dict[str, Any] = {path: _plain(value) for path, value in seen.host.items()}
    return {
        "at": seen.wall,
        "host": {**host, "swap.total": _plain(seen.swap_total), "load": list(seen.load)},
        "agent": seen.agent,
        "uwsgi": [_instance(one) for one in seen.uwsgi],
        "supervisor": [_daemon(one) for one in seen.supervisor],
        "elsewhere": [{"subject": subject, "diagnosis": diagnosis} for subject, diagnosis in seen.elsewhere],
        "unknown": dict(seen.unknown),
    }


def _plain(value: object) -> object:
    return None if isinstance(value, Unknown) else value


def _sizes(sizes: Sizes | None) -> dict[str, object]:
    if sizes is None:
        return dict.fromkeys(_SIZES)
    values = (sizes.rss, sizes.pss, sizes.uss, sizes.swap, sizes.slope, sizes.read_age)
    return {name: _plain(value) for name, value in zip(_SIZES, values, strict=True)}


def _instance(one: Instance) -> dict[str, Any]:
    about = {"name": one.name, "ini": one.ini, "version": one.version, "master": one.master or None, "mode": one.mode}
    others = [{"what": o.what, "pid": o.pid, "rss": o.rss, "age": o.age} for o in one.others]
    return {
        **about,
        "diagnoses": list(one.diagnoses),
        **one.counts,
        "rate": _plain(one.rate),
        **_sizes(one.sizes),
        "worker": [_worker(row) for row in one.workers],
        "other": others,
    }


def _worker(row: WorkerRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "pid": row.pid,
        "status": row.status,
        "requests": row.requests,
        "rate": _plain(row.rate),
        "exceptions": row.exceptions,
        "harakiris": row.harakiris,
        **_sizes(row.sizes),
        "age": _plain(row.age),
        "diagnoses": list(row.diagnoses),
    }


def _daemon(one: Daemon) -> dict[str, Any]:
    fields = {path: _plain(value) for path, value in one.fields.items()}
    about = {"name": one.name, "conf": one.conf, "pid": one.pid, **fields, "diagnoses": list(one.diagnoses)}
    return {**about, "program": [_program(row) for row in one.programs]}


def _program(row: ProgramRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": row.state,
        "pid": row.pid,
        "processes": _plain(row.processes),
        **_sizes(row.sizes),
        "connections": _plain(row.connections),
        "age": _plain(row.age),
        "diagnoses": list(row.diagnoses),
    }
