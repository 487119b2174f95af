"""What reads strangers' bytes: each target with its examples and the errors it documents. Anything else is a defect."""

from __future__ import annotations

import functools
import json
import os
import socket
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from fuzz import examples
from paramedic import orders
from paramedic.act.imported import is_unchanged
from paramedic.host import clock, folders, inet, recipe, relaying, supervisor_rpc, uwsgi_stats, xml_rpc
from paramedic.host.cgroup import Cgroups
from paramedic.host.proc import Proc
from paramedic.host.unix_diag import Listener
from paramedic.journal.known import known_from_json
from paramedic.journal.readings import facts_from_json
from paramedic.journal.samples import recorded
from paramedic.model.facts import SupervisorKnown
from paramedic.model.policy import Policy
from paramedic.model.readings import PathKind, PathReading, Unreadable
from paramedic.model.record import Orders
from paramedic.model.stack import SupervisorConf, SupervisorEntry, UwsgiEntry
from paramedic.model.supervision import RpcReading, SupervisorReading
from paramedic.policy.load import PolicyErrors
from paramedic.rehearsal.case import load_rehearsals, policies_named
from paramedic.rulebook import load_files
from paramedic.sense.host_memory import HostMemory
from paramedic.sense.inquiry import Asking, Inquiry
from paramedic.sense.memory import Rollups
from paramedic.sense.path import Holders
from paramedic.sense.programs import Programs
from paramedic.sense.supervisor_conf import ConfUnreadable, read_supervisor_conf, stamps_of
from paramedic.sense.uwsgi import UwsgiSensor
from paramedic.sense.uwsgi_answer import Told, told
from paramedic.sense.uwsgi_ini import read_uwsgi_conf
from paramedic.settings import SettingsError, load

Read = Callable[[], object]


@dataclass(frozen=True)
class Target:
    """`prepare` gets a mutated example and a folder, and gives what reads it; `errors` are those it may raise."""

    corpus: Sequence[bytes]
    prepare: Callable[[bytes, Path], Read]
    errors: tuple[type[Exception], ...] = ()


def _put(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def _policies(data: bytes, folder: Path) -> Read:
    path = Path(_put(folder, "p.yaml", data))
    return lambda: load_files([path])


def _settings(data: bytes, folder: Path) -> Read:
    path = _put(folder, "paramedic.yaml", data)
    return lambda: load(path)


def _rehearsals(data: bytes, _folder: Path) -> Read:
    text = data.decode("utf-8", "replace")
    return lambda: policies_named(text, "t.yaml")[1] or load_rehearsals(text, "t.yaml", _shipped())


@functools.cache
def _shipped() -> tuple[Policy, ...]:
    return load_files(sorted((examples.TOP / "policies").glob("*.yaml")))


def _ini(data: bytes, folder: Path) -> Read:
    entry = UwsgiEntry("web", _put(folder, "u.ini", data))
    _put(folder, "other.ini", b"[uwsgi]\nvacuum = true\n")
    _put(folder, "mercy", b"8\n")
    return lambda: read_uwsgi_conf(entry)


def _conf(data: bytes, folder: Path) -> Read:
    entry = SupervisorEntry("main", _put(folder, "s.conf", data))
    return lambda: (stamps_of(entry.conf), read_supervisor_conf(entry, {"HOME": "/home/x"}))


class AtHand(uwsgi_stats.Stats[Told]):
    """The stats of a document that is at hand."""

    def __init__(self, data: bytes) -> None:
        super().__init__(told)
        self._data = data

    def fetch(self, address: str, deadline_s: float = uwsgi_stats.DEADLINE_S) -> tuple[Told, int | None]:
        """As if it had been read from there."""
        return told(uwsgi_stats._document(bytearray(self._data))), None


def _stats(data: bytes, folder: Path) -> Read:
    proc, address = Proc(), "/run/u.stats"
    sensor = UwsgiSensor(UwsgiEntry("web", _put(folder, "u.ini", b"[uwsgi]\nstats = %s\n" % address.encode())), proc)
    me = proc.identify(os.getpid())
    assert me is not None
    sensor._proven, sensor._stats = (me, address, proc.uid(me.pid) or 0, None), AtHand(data)
    sensor._seen = me

    def look() -> None:
        found = sensor.read(Rollups(proc, 0))
        assert not isinstance(found, Unreadable) or len(found.reason) < 500

    return look


def _answer(data: bytes, _folder: Path) -> Read:
    return lambda: xml_rpc.value_of(data)


def _page(data: bytes, _folder: Path) -> Read:
    here, there = socket.socketpair()
    there.setblocking(False)

    def read() -> None:
        with here, there:
            there.send(data)
            there.shutdown(socket.SHUT_WR)
            supervisor_rpc._read(here, clock.monotonic() + 2.0)

    return read


def _programs(data: bytes, _folder: Path) -> Read:
    """The whole way from the body of an answer to programs, of a daemon that this process plays."""
    proc = Proc()
    me = proc.identify(os.getpid())
    assert me is not None
    conf, at = SupervisorConf("main", "/srv/s.conf", "/tmp/s.sock"), PathReading(PathKind.SOCKET, 5)
    reading = SupervisorReading(conf, at, me, (), 1.0, 5, False, None, Unreadable(""), True, None)
    inquiry = Inquiry(proc, Programs(proc, Holders(proc), Rollups(proc, 0)))

    def ask() -> None:
        body, supervisor_rpc._body = supervisor_rpc._body, lambda *_: data
        try:
            at_path, known = Listener(1, conf.socket or "", 5, 0), SupervisorKnown()
            found, silence, _ = inquiry.hear(Asking(reading, at_path, 0.0, socket.socket()), known, 1.0)
        finally:
            supervisor_rpc._body = body
        assert silence is None
        assert len(repr(found)) < 4000 * (1 + len(found.programs) if isinstance(found, RpcReading) else 1)

    return ask


def _process(data: bytes, folder: Path) -> Read:
    """Every file of a process with the same mutated content, read in every way."""
    for name in (*examples.PROC, "task/7/children"):
        _put(folder, f"proc/7/{name}", data)
    proc = Proc(str(folder / "proc"))
    ways = (proc.stat, proc.identify, proc.cmdline, proc.environ, proc.status, proc.ids, proc.rss_bytes, proc.rollup)
    more = (proc.unit, proc.children, proc.tree)
    return lambda: [read(7) for read in (*ways, *more)]


def _host(data: bytes, folder: Path) -> Read:
    """The tables of the machine and of a cgroup, each with the same mutated content beside whole ones."""
    for name, whole in examples.proc(examples.HOST, "/proc").items():
        _put(folder, f"proc/{name}", data if data[:9] == whole[:9] or len(data + name.encode()) % 2 else whole)
    _put(folder, "proc/self/cgroup", b"0::/a.slice/b.service\n")
    for name in ("memory.max", "memory.current", "memory.stat", "memory.events", "memory.pressure", "memory.swap.max"):
        _put(folder, f"sys/fs/cgroup/a.slice/b.service/{name}", data)
    proc = Proc(str(folder / "proc"))
    memory = HostMemory(proc, Cgroups(proc, str(folder)))

    def read() -> None:
        memory.read((), 1.0, is_suspect=True)
        memory.read((), 9.0, is_suspect=True)
        uwsgi_stats.stats_socket_inode("127.0.0.1:9191", proc)
        list(inet._listed(10, proc))

    return read


def _orders(data: bytes, folder: Path) -> Read:
    _put(folder, "orders.json", data)

    def read() -> None:
        assert isinstance(orders.read(str(folder), 1.0, 1.0, "b"), Orders)

    return read


def _recipe(data: bytes, folder: Path) -> Read:
    path = _put(folder, "r.json", data)
    return lambda: (recipe.load(path), is_unchanged(path, ["x"], 1.0))


def _relay(data: bytes, folder: Path) -> Read:
    path = str(folder / "s.sock")
    record = Path(_put(folder, f".paramedic-{os.geteuid()}/s.sock.relay", data))
    record.parent.chmod(0o700)
    with folders.private(str(record.parent), must_exist=True) as kept:  # else it would not be read at all
        assert os.path.samefile(relaying.record_of(path, kept), record)
    return lambda: relaying.current(path, Proc())


def _known(data: bytes, _folder: Path) -> Read:
    return lambda: known_from_json(data.decode("utf-8", "replace"))


def _facts(data: bytes, _folder: Path) -> Read:
    return lambda: facts_from_json(json.loads(data))


def _samples(data: bytes, _folder: Path) -> Read:
    packed = zlib.compress(data, 1)
    return lambda: [list(recorded([packed], 0.0)), list(recorded([data], 0.0))]


TARGETS = {
    "policies": Target(
        [
            path.read_bytes()
            for folder in ("policies", "tests/unit/bad_policies")
            for path in sorted((examples.TOP / folder).glob("*.yaml"))
        ],
        _policies,
        (PolicyErrors,),
    ),
    "timeline tests": Target(
        [path.read_bytes() for path in sorted((examples.TOP / "policies/tests").glob("*.yaml"))],
        _rehearsals,
    ),
    "configuration": Target(examples.CONFIGURATIONS, _settings, (SettingsError,)),
    "uwsgi ini": Target(examples.INIS, _ini, (OSError, ValueError)),
    "supervisor conf": Target(examples.CONFS, _conf, (OSError, ConfUnreadable)),
    "stats json": Target(examples.STATS, _stats),
    "xml-rpc": Target(examples.ANSWERS, _answer, (xml_rpc.Fault, ValueError, TypeError, ExpatError)),
    "http": Target(examples.PAGES, _page, (OSError, ValueError)),
    "programs": Target(examples.ANSWERS, _programs),
    "proc of a process": Target(list(examples.proc(examples.PROC, "/proc/self").values()), _process),
    "proc of the host": Target(list(examples.proc(examples.HOST, "/proc").values()), _host),
    "orders": Target(examples.ORDERS, _orders),
    "recipe": Target(examples.RECIPES, _recipe),
    "relay record": Target(examples.RELAYS, _relay),
    "what is known": Target(examples.KNOWN, _known),
    "samples": Target(examples.SAMPLES, _facts, (ValueError, RecursionError)),
    "journal blocks": Target(examples.blocks(examples.SAMPLES), _samples),
}
