"""The diagnosis of a daemon from sources that must agree. Where they do not, it is unknown, with what is missing."""

from __future__ import annotations

from paramedic.model.facts import Unknown
from paramedic.model.readings import HostReading, PathKind, Unreadable
from paramedic.model.supervision import ExitTrace, RpcReading, Silence, SupervisorReading
from paramedic.model.units import render_seconds
from paramedic.model.vocabulary import OK

Diagnosed = tuple[str, str] | Unknown
MISSES = 3
SILENT_S = 10.0
THRASHING_PERCENT = 40.0


def diagnose(reading: SupervisorReading, host: HostReading | Unreadable) -> Diagnosed:
    """(diagnosis, evidence) of the daemon, or Unknown with what is missing to tell. `ok` has no evidence."""
    if reading.rivals:
        return _several(reading)
    if reading.daemon is None:
        return _gone(reading)
    if reading.conf.socket is None:
        return Unknown(f"{reading.conf.conf} has no [unix_http_server] file: paramedic cannot ask the daemon")
    if reading.silence is not None:
        return _silent(reading, reading.silence, host)
    if reading.listening_inode is None:
        pid, age = reading.daemon.pid, render_seconds(reading.uptime_s)
        if reading.path.kind is PathKind.DIRECTORY:
            at = reading.conf.socket
            return "socket-replaced", f"supervisord {pid} cannot make its socket: a folder stands at {at}"
        return Unknown(f"supervisord {pid}, {age} old, does not listen on its socket: it is starting or restarting")
    if not reading.is_reached:
        return _lost(reading)
    return _answering(reading)


def _several(reading: SupervisorReading) -> Diagnosed:
    each = "; ".join(
        f"{r.identity.pid} runs {', '.join(r.settled) if r.settled else 'no program that stays up'}"
        for r in reading.rivals
    )
    kept = f"{reading.keeper.pid} is kept" if reading.keeper else f"nobody is stopped: {reading.undecided}"
    return "daemon-duplicate", f"{len(reading.rivals)} supervisords run with {reading.conf.conf}: {each}; {kept}"


def _silent(reading: SupervisorReading, silence: Silence, host: HostReading | Unreadable) -> Diagnosed:
    """Hung is who is stopped, or who neither answers, nor drains its queue, nor uses any CPU time."""
    pid = reading.daemon.pid if reading.daemon else 0
    blocked = f"; blocked in a write to it: {', '.join(silence.blocked)}" if silence.blocked else ""
    if silence.tracer or silence.state == "t":
        return Unknown(f"supervisord {pid} does not answer; process {silence.tracer} traces it")
    if silence.is_stopped:
        return "daemon-hung", f"supervisord {pid} was stopped by a signal (state T) and cannot answer{blocked}"
    for_s = f"{silence.misses} times in {render_seconds(silence.for_s)}"
    if silence.state == "D":
        return Unknown(f"supervisord {pid} did not answer {for_s}: it waits inside the kernel (state D)")
    if _thrashes(host):
        return Unknown(f"supervisord {pid} did not answer {for_s}, and the host is short of memory: it may be slow")
    is_long = silence.misses >= MISSES and silence.still_s >= SILENT_S
    if is_long and silence.waiting:
        stuck = f"{silence.waiting} connections wait in its queue and it used no CPU time meanwhile"
        return "daemon-hung", f"supervisord {pid} did not answer {for_s}; {stuck}{blocked}"
    return Unknown(f"supervisord {pid} does not answer: {_reason(reading)} ({for_s})")


def _thrashes(host: HostReading | Unreadable) -> bool:
    full = host.full_avg10 if isinstance(host, HostReading) else 0.0
    return isinstance(full, float) and full > THRASHING_PERCENT


def _reason(reading: SupervisorReading) -> str:
    return reading.rpc.reason if isinstance(reading.rpc, Unreadable) else reading.rpc.state


def _lost(reading: SupervisorReading) -> Diagnosed:
    pid = reading.daemon.pid if reading.daemon else 0
    if isinstance(reading.rpc, Unreadable) and reading.rpc.reason.startswith("401"):
        return _answering(reading)
    alive = f"supervisord {pid} runs and still listens"
    path, kind = reading.conf.socket, reading.path.kind
    if isinstance(reading.rpc, RpcReading) and reading.rpc.state != "RUNNING":
        return Unknown(f"{path} is not the socket of supervisord {pid}, which is {reading.rpc.state}")
    is_barred = isinstance(reading.rpc, Unreadable) and reading.rpc.reason == "Permission denied"
    if isinstance(reading.rpc, Unreadable) and reading.kept_inode == reading.listening_inode and not is_barred:
        return Unknown(f"{path} is not the socket of supervisord {pid}, which does not answer: {reading.rpc.reason}")
    if kind is PathKind.ABSENT:
        gone = f"{path} is gone" if reading.path.parent else f"{path} is gone with its folder"
        return "socket-missing", f"{alive}, but {gone}"
    if reading.at_path is not None and reading.at_path.conf not in (None, reading.conf.conf):
        return "daemon-foreign", f"{alive}, but {reading.at_path} answers at {path}"
    if reading.listener_at_path or reading.at_path is not None:
        who = reading.at_path or "a server that may not be looked at"
        return "socket-replaced", f"{alive}, but at {path} stands the live socket of {who}"
    what = "a dead socket" if kind is PathKind.SOCKET else f"a {kind} of {reading.path.size} bytes"
    return "socket-replaced", f"{alive}, but at {path} stands {what}"


def _answering(reading: SupervisorReading) -> Diagnosed:
    pid = reading.daemon.pid if reading.daemon else 0
    if isinstance(reading.rpc, Unreadable):
        if reading.rpc.reason.startswith("401"):
            return "auth-refused", f"supervisord {pid} refuses the username and password in {reading.conf.conf}"
        if reading.denied is not None:
            return _aside(reading)
        return Unknown(f"supervisord {pid} does not answer: {reading.rpc.reason}")
    if reading.rpc.state != "RUNNING":
        return Unknown(f"supervisord {pid} is {reading.rpc.state.lower()}")
    if reading.rpc.pid != pid:
        return Unknown(f"getPID says {reading.rpc.pid}, /proc says {pid}")
    if reading.conf.identifier not in (None, reading.rpc.identifier):
        calls = f'supervisord {pid} calls itself "{reading.rpc.identifier}", the conf says "{reading.conf.identifier}"'
        return Unknown(f"{calls}: it was changed and not loaded, or it is another one")
    return _aside(reading)


def _aside(reading: SupervisorReading) -> Diagnosed:
    """It runs and answers; what is wrong beside it."""
    pid = reading.daemon.pid if reading.daemon else 0
    denied, pidfile = reading.denied, reading.pidfile
    if denied is not None and not denied.by_conf:
        return "socket-denied", f"{denied.user} may not use it: {denied.why}"
    if reading.deleted_logs:
        return "log-deleted", f"supervisord {pid} still writes to {', '.join(reading.deleted_logs)}, which was deleted"
    if pidfile is not None and not (denied is not None and pidfile.holder is not None and pidfile.holder.conf):
        says = f"says {pidfile.content}" if pidfile.content else "is gone"
        who = f", which is {pidfile.holder}" if pidfile.holder else ""
        return "pidfile-wrong", f"supervisord is {pid}, but {pidfile.path} {says}{who}"
    if denied is not None:
        line = f"the conf itself denies it, paramedic does not widen it: write {denied.by_conf}"
        return "socket-denied", f"{denied.user} may not use it: {denied.why}; {line}"
    return OK, ""


def _gone(reading: SupervisorReading) -> Diagnosed:
    if reading.listener_at_path:
        who = reading.at_path or "another live server"
        return "daemon-foreign", f"{who} listens at {reading.conf.socket}, and ours does not run"
    trace = reading.trace
    if trace is None:
        return Unknown("the traces of the daemon cannot be read")
    purpose = _on_purpose(trace, reading)
    if purpose and reading.conf.restart != "always":
        return "daemon-stopped", f"no supervisord runs {reading.conf.conf}, and {purpose}"
    left = [word for word, there in (("its socket", trace.socket_left), ("its pidfile", trace.pidfile_left)) if there]
    behind = f"; it left {' and '.join(left)} behind" if left else ""
    serving = [f"{o.child.program} ({o.child.identity.pid})" for o in reading.orphans]
    alive = f"; still running: {', '.join(serving)}" if serving else ""
    always = f"; {purpose}, but restart: always" if purpose else ""
    if trace.socket_left and not reading.seen_alive:
        return "socket-stale", f"{reading.conf.socket} has no listener and no supervisord runs{alive}{always}"
    return "daemon-dead", f"no supervisord runs {reading.conf.conf}{behind}{alive}{always}"


def _on_purpose(trace: ExitTrace, reading: SupervisorReading) -> str | None:
    """Why this was no accident: its own last word or answer, or a clean exit's tidiness (options.py cleanup).

    An ordered exit stops every program before it tidies up; a crash tidies up too, and leaves them running.
    """
    if trace.is_ours:
        return None
    if trace.said is not None and "indicating exit request" in trace.said:
        return f'its log says "{trace.said}"'
    if trace.said is not None and "SIGHUP" in trace.said:
        return None
    if trace.was_leaving:
        return "it was shutting down or restarting when it was last asked"
    if trace.socket_left or trace.pidfile_left or reading.orphans:
        return None
    if reading.seen_alive:
        return "it removed its socket and pidfile"
    return "there is no trace that it ran since the host booted"
