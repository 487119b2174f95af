"""The host as facts."""

from __future__ import annotations

from paramedic.model.facts import Subject, SubjectFacts, Unknown, Value, unknown
from paramedic.model.readings import HostReading, Unreadable
from paramedic.model.vocabulary import KINDS

HOST = Subject("host", "host")


def host_subject(reading: HostReading | Unreadable) -> SubjectFacts:
    """The one subject of its kind; where nothing could be read every field is unknown for the same reason."""
    if isinstance(reading, Unreadable):
        return SubjectFacts(HOST, dict.fromkeys(KINDS["host"], Unknown(reading.reason)))
    fields: dict[str, Value] = {
        "memory.total": reading.total_bytes,
        "memory.available": reading.available_bytes,
        "memory.used_percent": reading.used_percent,
        "memory.dirty": _value(reading.dirty_bytes),
        "memory.shmem": _value(reading.shmem_bytes),
        "swap.free": reading.swap_free_bytes,
        "swap.used_percent": _swap_used(reading),
        "swap.in": _value(reading.swap_in),
        "swap.out": _value(reading.swap_out),
        "pressure.memory.some_avg10": _value(reading.some_avg10),
        "pressure.memory.some_avg60": _value(reading.some_avg60),
        "pressure.memory.full_avg10": _value(reading.full_avg10),
        "oom_kills": _value(reading.oom_kills),
    }
    return SubjectFacts(HOST, fields, reading=reading, scope=reading.scope, holders=reading.holders)


def _value(read: float | Unreadable) -> Value:
    return unknown(read.reason) if isinstance(read, Unreadable) else read


def _swap_used(reading: HostReading) -> float:
    if not reading.swap_total_bytes:
        return 0.0
    return 100.0 * (1 - reading.swap_free_bytes / reading.swap_total_bytes)
