"""Whose child was it? The proofs by which a process counts as an orphan of a Supervisor daemon, and of its group."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from paramedic.host.proc import Proc
from paramedic.host.processes import Row, is_supervisord, trusted_uids, uids_of
from paramedic.host.writers import writable_by_others
from paramedic.model.readings import Identity
from paramedic.model.stack import ProgramConf, SupervisorConf
from paramedic.model.supervision import ChildRecord

INIT = 1
_NUMBER = re.compile(r"%\(process_num\)\d*d")


def doubt_of(child: ChildRecord, conf: SupervisorConf, proc: Proc, daemon: Identity | None = None) -> str | None:
    """Which proof is missing that the process outlived its daemon; None when none is.

    `daemon` is the one of this conf that runs now. A record (pid, start, group) came from the daemon itself: what the
    process still says must only not contradict it. Without one everything must agree with the conf.
    """
    env = proc.environ(child.identity.pid)
    if env is None:
        return "its environment cannot be read"
    if child.master is None:
        return _doubt_of_unrecorded(child, conf, env, proc, daemon)
    if env.get("SUPERVISOR_PROCESS_NAME", name := child.program.rpartition(":")[2]) != name:
        return "its environment names another program"
    urls = {f"unix://{child.socket or conf.socket}", *_urls_of(conf)}
    if conf.socket and env.get("SUPERVISOR_SERVER_URL", f"unix://{conf.socket}") not in urls:
        return "its environment names another Supervisor"
    stat = proc.stat(child.identity.pid)
    if stat is None or stat.pgid != child.pgid:
        return "it left the process group that Supervisor made for it"
    return "its supervisord still runs" if proc.is_alive(child.master) else None


def _doubt_of_unrecorded(
    child: ChildRecord, conf: SupervisorConf, env: dict[str, str], proc: Proc, daemon: Identity | None
) -> str | None:
    """Without a record its parent, variables, session, group, user, command and folder must all say whose it is."""
    pid, program = child.identity.pid, conf.program(child.program)
    stat = proc.stat(pid)
    if stat is None or program is None:
        return f"{conf.conf} has no program {child.program}"
    if env.get("SUPERVISOR_ENABLED") != "1" or env.get("SUPERVISOR_SERVER_URL") not in _urls_of(conf):
        return "its environment does not name this Supervisor"
    if program_of(env) != child.program:
        return "its environment names another program"
    if not is_init(stat.ppid, proc):
        return f"its parent {stat.ppid} lives"
    if stat.sid == pid:
        return "it made a session of its own: it detached itself"
    if is_supervisord(proc.cmdline(stat.sid) or ("",)):
        return f"the supervisord of its session, {stat.sid}, lives"
    if stat.pgid != pid:
        return "it does not lead the process group that Supervisor makes for each program"
    if daemon is not None and daemon.start_ticks <= child.identity.start_ticks:
        return f"it is younger than supervisord {daemon.pid}"
    return _doubt_of_looks(pid, program, conf, proc, daemon)


def _users_of(program: ProgramConf, conf: SupervisorConf, proc: Proc, daemon: Identity | None) -> set[int]:
    """Who its processes can run as. Only root gives a program another user than its own: a conf that others can write
    speaks for its owner alone, or it would name processes of root's for root to end.
    """
    uid = proc.uid(daemon.pid) if daemon is not None else None
    if uid is not None and uid != 0:
        return {uid}
    try:
        if any(writable_by_others(path, ()) for path in conf.files):
            return {os.stat(conf.conf).st_uid}
    except OSError:
        return set()
    return trusted_uids(conf.conf) if program.user is None else uids_of(program.user)


def _doubt_of_looks(
    pid: int, program: ProgramConf, conf: SupervisorConf, proc: Proc, daemon: Identity | None
) -> str | None:
    uid = proc.uid(pid)
    if uid not in _users_of(program, conf, proc, daemon):
        return f"it runs as user {uid}, the conf says another"
    if not _runs(proc.cmdline(pid) or (), program.command):
        return f"its command line is not that of program {program.name} in {conf.conf}"
    folder = proc.link(pid, "cwd")
    if program.directory and folder != os.path.realpath(program.directory):
        return f"its folder is {folder}, the conf says {program.directory}"
    return None


def _urls_of(conf: SupervisorConf) -> set[str]:
    """How programs of this conf are told to reach Supervisor: by its socket, or as `serverurl=` has it."""
    return {f"unix://{conf.socket}", *(program.serverurl for program in conf.programs if program.serverurl)}


def _runs(argv: tuple[str, ...], command: str) -> bool:
    """Whether the arguments are those of the command; a script's own name moves behind its interpreter."""
    with contextlib.suppress(ValueError):
        words = shlex.split(command)
        before = argv[: len(argv) - len(words) + 1]
        is_named = any(Path(word).name == Path(words[0]).name for word in before) if words else False
        rest = zip(argv[len(before) :], words[1:], strict=True)
        return is_named and all(_is_word(found, wanted) for found, wanted in rest)
    return False


def _is_word(found: str, wanted: str) -> bool:
    """Whether an argument is the conf's word, in which the number of a copy (numprocs) may stand."""
    parts = _NUMBER.split(wanted)
    return found == wanted or re.fullmatch(r"\d+".join(map(re.escape, parts)), found) is not None


def is_init(pid: int, proc: Proc) -> bool:
    """Whether this is who inherits orphans: process 1, or the systemd of a user's session."""
    argv = proc.cmdline(pid) or ()
    return pid == INIT or (bool(argv) and Path(argv[0]).name == "systemd" and "--user" in argv[1:])


def program_of(env: dict[str, str]) -> str:
    """The program a process says it is, as Supervisor calls it: `name`, or `group:name`."""
    name, group = env.get("SUPERVISOR_PROCESS_NAME", ""), env.get("SUPERVISOR_GROUP_NAME", "")
    return name if group in (name, "") else f"{group}:{name}"


def child_of(pid: int, daemon: Identity, proc: Proc) -> ChildRecord | None:
    """A living child of a daemon as a record; None for one that is no program, e.g. a fork that did not exec yet."""
    stat, env = proc.stat(pid), proc.environ(pid) or {}
    if stat is None or not stat.is_alive or "SUPERVISOR_PROCESS_NAME" not in env:
        return None
    return ChildRecord(program_of(env), stat.identity, stat.pgid, daemon)


def unclaimed(rows: Iterable[Row], conf: SupervisorConf, known: Iterable[ChildRecord], proc: Proc) -> list[ChildRecord]:
    """Processes without a parent that say they are programs of this Supervisor and that no record names.

    Whether each is an orphan is for `doubt_of`. Members of a recorded group whose leader has ended count as recorded.
    """
    recorded = list(known)
    named = {child.identity for child in recorded}
    groups, urls = {child.pgid: child for child in recorded}, _urls_of(conf)
    found = []
    for row in rows:
        env = proc.environ(row.identity.pid) if is_init(row.ppid, proc) and row.identity not in named else None
        if env is None or conf.socket is None or env.get("SUPERVISOR_SERVER_URL") not in urls:
            continue
        stat = proc.stat(row.identity.pid)
        if stat is None or is_supervisord(row.argv) or stat.sid == row.identity.pid:
            continue
        leader = groups.get(stat.pgid)
        is_left = leader is not None and leader.program == program_of(env) and not proc.identify(stat.pgid)
        master = leader.master if leader is not None and is_left else None
        found.append(ChildRecord(program_of(env), row.identity, stat.pgid, master))
    return found


def members(child: ChildRecord, proc: Proc) -> list[Identity]:
    """The other living processes of its group: forked by it, in its session, as its user. A look at all of /proc."""
    leader = proc.stat(child.identity.pid)
    if leader is None or leader.identity != child.identity:
        return []
    found = []
    for name in os.listdir(proc.root):
        stat = proc.stat(int(name)) if name.isdigit() else None
        if stat is None or not stat.is_alive or stat.identity == child.identity:
            continue
        is_of_group = (stat.pgid, stat.sid) == (leader.pgid, leader.sid)
        if is_of_group and stat.identity.start_ticks >= child.identity.start_ticks:
            found.append(stat.identity)
    return found


def doubt_of_member(one: Identity, child: ChildRecord, sid: int, proc: Proc) -> str | None:
    """Which proof is missing that this process still belongs to the orphan's group."""
    stat = proc.stat(one.pid)
    if stat is None or stat.identity != one or (stat.pgid, stat.sid) != (child.pgid, sid):
        return "it left the orphan's process group"
    env = proc.environ(one.pid)
    if env is None:
        return "its environment cannot be read"
    is_same = env.get("SUPERVISOR_PROCESS_NAME", name := child.program.rpartition(":")[2]) == name
    return None if is_same else "its environment names another program"
