"""The repairs, one module each. Each re-proves its precondition at the moment it acts, and refuses on doubt."""

from __future__ import annotations

from collections.abc import Callable

from paramedic.act.chain_reload import chain_reload
from paramedic.act.job import Job
from paramedic.act.kill_orphans import kill_orphans
from paramedic.act.notify import notify
from paramedic.act.restart_supervisord import restart_supervisord
from paramedic.act.restore_socket import restore_socket
from paramedic.model.record import Report

REPAIRS: dict[str, Callable[[Job], Report]] = {
    "notify": notify,
    "restore_socket": restore_socket,
    "restart_supervisord": restart_supervisord,
    "kill_orphans": kill_orphans,
    "chain_reload": chain_reload,
}
