"""After a start: wait for the daemon's answer, and leave its programs as the old one had them."""

from __future__ import annotations

import time
from typing import Any

from paramedic.host import clock, supervisor_rpc
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import SupervisorReading

ANSWER_S = 30.0
LOOK_AGAIN_S = 0.05


def bring_up(conf: SupervisorConf, reading: SupervisorReading) -> str:
    """Wait for its answer and bring its programs into the state they were in; what happened, as a clause."""
    try:
        _await_answer(conf)
        return _start_missing(conf, reading)
    except supervisor_rpc.RpcFailure as failure:
        return f"; but {failure}"


def _await_answer(conf: SupervisorConf) -> None:
    until = clock.monotonic() + ANSWER_S
    while True:
        try:
            if _ask(conf, ("supervisor.getState", ()))["statename"] == "RUNNING":
                return
        except supervisor_rpc.RpcFailure:
            if clock.monotonic() > until:
                raise
        time.sleep(LOOK_AGAIN_S)


def _start_missing(conf: SupervisorConf, reading: SupervisorReading) -> str:
    """Leave the programs as the old daemon had them: autostart=false ones that ran, ones a person had stopped."""
    rows = _ask(conf, ("supervisor.getAllProcessInfo", ()))
    states = {f"{row['group']}:{row['name']}": row["statename"] for row in rows}
    ran, rested = {_full(c.program) for c in reading.recorded}, {_full(name) for name in reading.stopped}
    begin = sorted(name for name in ran if states.get(name) == "STOPPED")
    stop = sorted(name for name in rested if states.get(name) in ("STARTING", "RUNNING", "BACKOFF"))
    for method, names in (("supervisor.startProcess", begin), ("supervisor.stopProcess", stop)):
        for name in names:
            _ask(conf, (method, (name, False)))
    told = [f"{word} {', '.join(names)}" for word, names in (("started", begin), ("stopped again", stop)) if names]
    return "".join(f"; {words}" for words in told)


def _full(program: str) -> str:
    return program if ":" in program else f"{program}:{program}"


def _ask(conf: SupervisorConf, method: tuple[str, tuple[object, ...]]) -> Any:  # noqa: ANN401 - XML-RPC is untyped
    return supervisor_rpc.call(conf.socket or "", [method], conf.username, conf.password)[0]
