"""After a start: wait for the daemon's answer, and leave its programs as the old one had them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from paramedic.host import clock, supervisor_rpc
from paramedic.host.failpoint import reached
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import RpcReading, SupervisorReading

ANSWER_S = 30.0
LOOK_AGAIN_S = 0.05
Ask = Callable[[tuple[str, tuple[object, ...]]], Any]


def bring_up(conf: SupervisorConf, reading: SupervisorReading, uid: int) -> str:
    """Wait for its answer and bring its programs into the state they were in; what happened, as a clause. `uid` is who
    the daemon runs as.
    """
    ask = functools.partial(_ask, conf, uid)
    try:
        _await_answer(ask)
        return _start_missing(ask, [child.program for child in reading.recorded], reading.stopped)
    except supervisor_rpc.RpcFailure as failure:
        return f"; but {failure}"


def _await_answer(ask: Ask) -> None:
    until = clock.monotonic() + ANSWER_S
    while True:
        try:
            if ask(("supervisor.getState", ()))["statename"] == "RUNNING":
                reached("daemon answers")
                return
        except supervisor_rpc.RpcFailure:
            if clock.monotonic() > until:
                raise
        time.sleep(LOOK_AGAIN_S)


def restore_programs(reading: SupervisorReading, before: Mapping[str, Any]) -> str | None:
    """The programs of a daemon that an earlier agent started and was killed over; what was done, None where nothing was
    left to do. `before` is what stood when the repair was begun. Raises RpcFailure.
    """
    if [reading.daemon.pid, reading.daemon.start_ticks] == before.get("daemon") if reading.daemon else True:
        return None
    if not isinstance(reading.rpc, RpcReading):
        return None
    ask = functools.partial(_ask, reading.conf, reading.uid)
    done = _start_missing(ask, before.get("running", ()), before.get("stopped", ()))
    return done.removeprefix("; ") or None


def _start_missing(ask: Ask, running: Iterable[str], stopped: Iterable[str]) -> str:
    """Leave the programs as the old daemon had them: ones a person had stopped, autostart=false ones that ran. One that
    fails stands in the way of no other.
    """
    rows = ask(("supervisor.getAllProcessInfo", ()))
    states = {f"{row['group']}:{row['name']}": row["statename"] for row in rows}
    ran, rested = {_full(name) for name in running}, {_full(name) for name in stopped}
    begin = sorted(name for name in ran if states.get(name) == "STOPPED")
    stop = sorted(name for name in rested if states.get(name) in ("STARTING", "RUNNING", "BACKOFF"))
    said = ""
    for method, names, word in (("stop", stop, "stopped again"), ("start", begin, "started")):
        failed = _each(ask, f"supervisor.{method}Process", names)
        done = [name for name in names if name not in failed]
        said += f"; {word} {', '.join(done)}" if done else ""
        said += "".join(f"; but did not {method} {name}: {why}" for name, why in failed.items())
    return said


def _each(ask: Ask, method: str, names: Iterable[str]) -> dict[str, str]:
    """Those that failed, and why."""
    failed = {}
    for name in names:
        try:
            ask((method, (name, False)))
            reached(method)
        except supervisor_rpc.RpcFailure as failure:
            failed[name] = str(failure)
    return failed


def _full(program: str) -> str:
    return program if ":" in program else f"{program}:{program}"


def _ask(conf: SupervisorConf, uid: int, method: tuple[str, tuple[object, ...]]) -> Any:  # noqa: ANN401 - XML-RPC is untyped
    return supervisor_rpc.results(
        supervisor_rpc.ask(conf.socket or "", [method], conf.username, conf.password, served_by=uid)
    )[0]
