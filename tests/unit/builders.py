"""Small builders for facts, policies and attempts, so that a test says only what it is about."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from paramedic.evaluate import View, judge_of
from paramedic.model.facts import Facts, Subject, SubjectFacts, Value
from paramedic.model.policy import Limit, Policy, Rung
from paramedic.model.readings import (
    Holder,
    Identity,
    MemoryReading,
    PathKind,
    PathReading,
    Unreadable,
    UwsgiReading,
    WorkerReading,
)
from paramedic.model.record import Attempt, Status, Truth, Verdict
from paramedic.model.stack import SocketEntry, SupervisorConf, UwsgiConf
from paramedic.model.supervision import ExitTrace, ProgramReading, RpcReading, SocketReading, SupervisorReading
from paramedic.policy.language import parse_condition
from paramedic.windows import Windows

HOST, WEB, MAIN = Subject("host", "host"), Subject("uwsgi", "web"), Subject("supervisor", "main")
DAEMON, SOCKET = Identity(100, 5000), "/tmp/supervisor.sock"
MIB = 2**20
YES = Verdict(Truth.YES, "it is so", 1.0)
_ids = itertools.count(1)


def policy(do: str = "chain_reload", watch: str = "uwsgi", when: str = "uss > 1 MiB", **more: Any) -> Policy:
    """A policy; `do` is the ladder as words."""
    rungs = tuple(Rung(action) for action in do.split())
    return replace(
        Policy("p", watch, parse_condition(when, watch), rungs, limit=Limit(3, 3600.0), cooldown_s=300.0), **more
    )


def facts(*subjects: SubjectFacts, at: float = 1000.0) -> Facts:
    """The facts of a pass at monotonic time `at`."""
    return Facts(at, 1_700_000_000.0 + at, {s.subject: s for s in subjects})


def subject(what: Subject, more: dict[str, Value] | None = None, **about: Any) -> SubjectFacts:
    """A subject with fields."""
    return SubjectFacts(what, dict(more or {}), **about)


def verdict(of: Policy, found: SubjectFacts, *others: SubjectFacts, firing: bool = False) -> Verdict:
    """What the policy's condition says of this subject, among others, without any past."""
    return judge_of(of).verdict(found, View(facts(found, *others), Windows()), firing)


def attempt(status: Status, **more: Any) -> Attempt:
    """A chain reload of `web` by policy `p` that began at 900 and ended at 910."""
    made = Attempt(
        next(_ids), "i", "p", WEB, "chain_reload", WEB, 0, 900.0, 1_700_000_900.0, 60.0, status=status, finished=910.0
    )
    return replace(made, **more)


def supervisor(**more: Any) -> SupervisorReading:
    """A healthy daemon with one program, some of it replaced."""
    program = ProgramReading("daphne", "RUNNING", Identity(101, 5001), "", 10.0)
    healthy = SupervisorReading(
        conf=SupervisorConf("main", "/srv/supervisord.conf", SOCKET, pidfile="/srv/pid"),
        path=PathReading(PathKind.SOCKET, inode=7),
        daemon=DAEMON,
        rivals=(),
        uptime_s=60.0,
        listening_inode=7,
        listener_at_path=False,
        kept_inode=7,
        rpc=RpcReading(SOCKET, "RUNNING", 100, "shop", (program,)),
        seen_alive=True,
        trace=None,
    )
    return healthy._replace(**more)


def guarded(**more: Any) -> SocketReading:
    """A healthy socket of another server, some of it replaced."""
    healthy = SocketReading(
        entry=SocketEntry("redis", "/run/redis.sock"),
        path=PathReading(PathKind.SOCKET, inode=9),
        owner=Holder(Identity(70, 700), "redis-server"),
        socket_inode=4711,
        listening_inode=9,
        kept_inode=9,
        relayed=False,
        at_path=None,
        uid=0,
        gid=0,
        mode=0o770,
    )
    return healthy._replace(**more)


def gone(**trace: Any) -> SupervisorReading:
    """A daemon that is no more, and the traces it left."""
    left = ExitTrace(**{"socket_left": True, "pidfile_left": True, "said": None} | trace)
    return supervisor(daemon=None, listening_inode=None, rpc=Unreadable("no daemon"), trace=left)


def worker(number: int, pid: int, **more: Any) -> WorkerReading:
    """An idle worker of 50 MiB."""
    made = WorkerReading(
        id=number,
        identity=Identity(pid, pid * 10),
        accepting=True,
        status="idle",
        requests=10,
        exceptions=0,
        harakiris=0,
        respawns=1,
        spawned_at=1_700_000_000.0,
        apps=1,
        startup_s=0.0,
        running_s=0.0,
        age_s=100.0,
        rss_bytes=50 * MIB,
        memory=MemoryReading(45 * MIB, 40 * MIB, 0, 1000.0),
    )
    return made._replace(**more)


def uwsgi(*workers: WorkerReading) -> UwsgiReading:
    """An instance with these workers."""
    conf = UwsgiConf("web", "/srv/uwsgi.ini", chain_reload="/srv/reload", mercy_s=8.0)
    return UwsgiReading(conf, Identity(50, 500), 0, 1000.0, "2.0.30", 0, workers, 1_699_999_000.0)
