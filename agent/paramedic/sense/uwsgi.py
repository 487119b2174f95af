"""A uWSGI instance by its ini, its stats socket and /proc. Never by its pidfile: a failed start overwrites it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from dataclasses import replace

from paramedic.host import clock, recipe
from paramedic.host.children import MOST_HELD, Children
from paramedic.host.proc import Proc, readable, refuse_exhaustion
from paramedic.host.uwsgi_processes import runs_uwsgi
from paramedic.host.uwsgi_stats import DEADLINE_S, Stats, stats_socket_inode
from paramedic.model.facts import UwsgiKnown
from paramedic.model.readings import Identity, Unreadable, UwsgiBlind, UwsgiGone, UwsgiReading, WorkerReading, age_s
from paramedic.model.stack import UwsgiConf, UwsgiEntry
from paramedic.sense.memory import Rollups
from paramedic.sense.uwsgi_absence import gone, master_of, trusted
from paramedic.sense.uwsgi_answer import Told, told
from paramedic.sense.uwsgi_ini import emperors_ini, read_uwsgi_conf
from paramedic.sense.uwsgi_magic import launch_of

Stamps = tuple[tuple[int, int, int], ...]

REST_S, LONGEST_REST_S = 1.0, 60.0
SHORT_S = 0.25
Instance = UwsgiReading | UwsgiBlind | UwsgiGone | Unreadable
_NO_PROCESS = Unreadable("no such process under the master")


class UwsgiSensor:
    """Reads one configured instance; keeps the parsed ini until a file of it changes."""

    def __init__(
        self, entry: UwsgiEntry, proc: Proc, recipe_path: str | None = None, most_held: int = MOST_HELD
    ) -> None:
        self.entry = entry
        self._proc = proc
        self._recipe_path = recipe_path
        self._conf: tuple[tuple[Identity | None, Stamps], UwsgiConf] | None = None
        self._proven: tuple[Identity, str, int, int | None] | None = None
        self._seen: Identity | None = None
        self._misses, self._rests_until, self._silence = 0, 0.0, ""
        self._children = Children(proc, most_held)
        self._stats = Stats(told)
        self._told: Told | None = None

    def read(
        self,
        rollups: Rollups,
        known: UwsgiKnown | None = None,
        others: Set[Identity] = frozenset(),
        patience_s: float = DEADLINE_S,
    ) -> Instance:
        """What the instance says of itself, each pid proven against /proc; what /proc says where it does not answer.

        `others` are the masters of other instances; one that was silent before is waited for no longer than SHORT_S.
        """
        deadline_s = min(patience_s, SHORT_S) if self._misses else patience_s
        try:
            conf = self.conf()
        except (OSError, ValueError) as error:
            return Unreadable(readable(f"cannot read {self.entry.ini}: {error}"))
        if not conf.stats:
            why = f"{conf.ini} has no stats socket; write e.g. stats = /run/{conf.name}.stats"
            return self._unanswered(conf, why, rollups, known, others)
        if clock.monotonic() < self._rests_until:
            return self._unanswered(conf, self._silence, rollups, known, others)
        try:
            answer, through = self._stats.fetch(conf.stats, deadline_s)
            self._misses = 0
            return self._reading(conf, answer, through, rollups)
        except PermissionError:
            raise
        except TimeoutError:
            self._misses += 1
            self._rests_until = clock.monotonic() + min(LONGEST_REST_S, REST_S * 2.0 ** min(self._misses, 10))
            why = f"the stats socket {conf.stats} of {conf.ini} gave no answer within {deadline_s:.3g} s"
            self._silence = why
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, OSError):
                refuse_exhaustion(error)
            what = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            why = f"the stats socket {conf.stats} of {conf.ini} does not answer: {what}"
        return self._unanswered(conf, why, rollups, known, others)

    def _unanswered(
        self, conf: UwsgiConf, why: str, rollups: Rollups, known: UwsgiKnown | None, others: Set[Identity]
    ) -> Instance:
        """By the process tree: its memory as long as its master runs, else how it ended."""
        if self._seen is None or not self._proc.is_alive(self._seen):
            self._seen = master_of(conf, known, self._proc, others)
        master = self._seen
        if master is None:
            return gone(conf, known, self._recipe_path, self._proc)
        tree = [one for pid in self._proc.tree(master.pid) if (one := self._proc.identify(pid))]
        rss = {one: self._proc.rss_bytes(one.pid) or 0 for one in tree}
        return UwsgiBlind(conf, master, why, tuple(tree), sum(rss.values()), rollups.sum_of(tree))

    def conf(self) -> UwsgiConf:
        """The parsed ini, read again when it, a file it includes, or the proven master changes.

        Raises OSError or ValueError, also for an Emperor's own ini.
        """
        master = self._proven[0] if self._proven else None
        if self._conf is None or self._conf[0] != (master, _stamps(self._conf[1].files)):
            conf = self._read_conf(master)
            if conf.is_emperor:
                raise ValueError(emperors_ini(conf))
            self._conf = ((master, _stamps(conf.files)), conf)
        return self._conf[1]

    def _read_conf(self, master: Identity | None) -> UwsgiConf:
        """As its proven master was started; its folder counts only if the stats socket that proved it is there."""
        launch = launch_of(master.pid, self._proc) if master else None
        conf = read_uwsgi_conf(self.entry, launch)
        if launch and self._proven and conf.stats != self._proven[1]:
            launch = replace(launch, folders=())
            conf = read_uwsgi_conf(self.entry, launch)
        if launch is None or conf.chain_reload is None:
            return conf
        try:
            bare = read_uwsgi_conf(self.entry, replace(launch, environ={}, folders=())).chain_reload
        except (OSError, ValueError):
            bare = None
        return replace(conf, is_touch_by_launch=bare != conf.chain_reload)

    def _reading(self, conf: UwsgiConf, told: Told, through: int | None, rollups: Rollups) -> UwsgiReading | Unreadable:
        master = self._proc.identify(told.pid)
        if master is None:
            return Unreadable(f"{conf.stats} names process {told.pid} as its master, which does not exist")
        uid = self._proc.uid(master.pid)
        if uid is None:
            return Unreadable(f"process {master.pid} changes its user, as set-uid programs do: whose it is is unclear")
        if self._proven != (master, conf.stats, uid, through):
            doubt = self._doubt_of(master, conf, uid, through)
            if doubt is not None:
                return Unreadable(f"process {master.pid} {doubt}")
            self._proven = (master, conf.stats or "", uid, through)
        self._children.of(master, uid)
        workers = self._workers(told, rollups)
        if told is not self._told:
            self._children.keep({worker.identity.pid for worker in workers if worker.identity})
            self._told = told
        return UwsgiReading(
            conf=conf,
            master=master,
            uid=uid,
            uptime_s=self._proc.age_s(master),
            version=told.version,
            listen_queue=told.listen_queue,
            workers=workers,
            touched_at=_mtime(conf.chain_reload),
            asked_at=_mtime(recipe.asked_of(self._recipe_path)) if self._recipe_path and conf.master_fifo else None,
        )

    def _doubt_of(self, master: Identity, conf: UwsgiConf, uid: int, through: int | None) -> str | None:
        """Why it is not this instance's master: anybody could answer there with any pid, and where anybody may bind the
        stats socket, anybody's program can hold it. Then it must run as who may run its ini, or who did when its launch
        was recorded; before that, anybody counts.
        """
        inode = stats_socket_inode(conf.stats or "", self._proc, through)
        if inode is None or not self._proc.holds_socket(master.pid, inode) or not runs_uwsgi(master, self._proc):
            return f"is not proven to be the one that listens at {conf.stats}"
        seen = recipe.load(self._recipe_path) if self._recipe_path else None
        if seen is None or uid == seen.uid or uid in trusted(conf):
            return None
        return (
            f"listens at {conf.stats} as user {uid}, and {self.entry.name} ran as user {seen.uid}: it is somebody "
            f"else's; if it is right, write uid = in {conf.ini} or remove {self._recipe_path}"
        )

    def _workers(self, told: Told, rollups: Rollups) -> tuple[WorkerReading, ...]:
        """Each worker as uWSGI tells it, with what /proc says of its process."""
        read, memory_of, up_s = self._children.read, rollups.of, self._proc.up()
        found = []
        for one in told.workers:
            child = read(one.pid)
            if child is None:
                gone = WorkerReading(*one[:-1], None, None, _NO_PROCESS, _NO_PROCESS)
                found.append(gone._replace(accepting=False))
            else:
                identity, rss_bytes = child
                found.append(WorkerReading(*one[:-1], identity, age_s(identity, up_s), rss_bytes, memory_of(identity)))
        return tuple(found)


def resident(readings: Mapping[str, Instance], proc: Proc) -> dict[Identity, int]:
    """RSS by identity of every worker of every instance that answers, and of the trees of those that do not.

    Without workers that still load their app: what they hold by then says nothing of what they will.
    """
    found: dict[Identity, int] = {}
    for reading in readings.values():
        if isinstance(reading, UwsgiReading):
            for worker in reading.workers:
                if worker.identity and (worker.apps or worker.accepting) and isinstance(worker.rss_bytes, int):
                    found[worker.identity] = worker.rss_bytes
        elif isinstance(reading, UwsgiBlind):
            found |= {one: proc.rss_bytes(one.pid) or 0 for one in reading.tree}
    return found


def _stamps(files: tuple[str, ...]) -> Stamps:
    return tuple([_stamp(path) for path in files])


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _mtime(path: str | None) -> float | None:
    try:
        return os.lstat(path).st_mtime if path else None
    except OSError:
        return None
