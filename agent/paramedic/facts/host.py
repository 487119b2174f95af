"""The host as facts."""

from __future__ import annotations

from paramedic.model.facts import Subject, SubjectFacts, Unknown, Value
from paramedic.model.readings import HostReading, Unreadable
from paramedic.model.vocabulary import KINDS

HOST = Subject("host", "host")


def host_subject(reading: HostReading | Unreadable) -> SubjectFacts:
    """The one subject of its kind; where nothing could be read every field is unknown for the same reason."""
    if isinstance(reading, Unreadable):
        return SubjectFacts(HOST, dict.fromkeys(KINDS["host"], Unknown(reading.reason)))
    fields: dict[str, int | float | Unreadable] = {
        "memory.total": reading.total_bytes,
        "memory.available": reading.available_bytes,
        "memory.used_percent": reading.used_percent,
        "memory.dirty": reading.dirty_bytes,
        "memory.shmem": reading.shmem_bytes,
        "swap.free": reading.swap_free_bytes,
        "swap.used_percent": _swap_used(reading),
        "swap.in": reading.swap_in,
        "swap.out": reading.swap_out,
        "pressure.memory.some_avg10": reading.some_avg10,
        "pressure.memory.some_avg60": reading.some_avg60,
        "pressure.memory.full_avg10": reading.full_avg10,
        "oom_kills": reading.oom_kills,
    }
    values: dict[str, Value] = {
        path: Unknown(value.reason) if isinstance(value, Unreadable) else value for path, value in fields.items()
    }
    return SubjectFacts(HOST, values, reading=reading, scope=reading.scope, holders=reading.holders)


def _swap_used(reading: HostReading) -> float:
    if not reading.swap_total_bytes:
        return 0.0
    return 100.0 * (1 - reading.swap_free_bytes / reading.swap_total_bytes)
