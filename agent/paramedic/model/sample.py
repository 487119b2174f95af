"""Sample: one look at the host, every sensor's reading in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from paramedic.model.readings import HostReading, Unreadable, UwsgiBlind, UwsgiGone, UwsgiReading
from paramedic.model.supervision import SocketReading, SupervisorReading


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the host. `monotonic` and `wall` are taken before the first sensor reads."""

    monotonic: float
    wall: float
    host: HostReading | Unreadable
    uwsgi: dict[str, UwsgiReading | UwsgiBlind | UwsgiGone | Unreadable] = field(default_factory=dict)
    supervisor: dict[str, SupervisorReading | Unreadable] = field(default_factory=dict)
    sockets: dict[str, SocketReading | Unreadable] = field(default_factory=dict)
