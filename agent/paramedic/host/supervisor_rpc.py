"""supervisor's own XML-RPC transport with a total deadline: connect() proves nothing, only an answer counts.

The socket is opened by O_PATH and reached as /proc/self/fd/N: no length limit of sun_path, no symbolic
link followed, and the inode that answers is the inode that was looked at.
"""

from __future__ import annotations

import os
import socket
import xmlrpc.client
from http.client import HTTPConnection, HTTPException
from typing import Any
from xml.parsers.expat import ExpatError

from supervisor.xmlrpc import Faults, SupervisorTransport

from paramedic.host import clock

DEADLINE_S = 2.0


class RpcFailure(Exception):
    """The daemon did not give the answer; the message is the reason, e.g. `401 Unauthorized`."""


class Silent(RpcFailure):
    """No answer within the deadline, or no room in its queue for another question."""


class Stopping(RpcFailure):
    """Fault 6: the daemon is shutting down or restarting (supervisor/rpcinterface.py _update)."""


class _DeadlineSocket(socket.socket):
    """A Unix stream socket whose every wait ends at the same moment."""

    def __init__(self, until: float) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._until = until

    def _arm(self) -> None:
        left = self._until - clock.monotonic()
        if left <= 0:
            raise TimeoutError("no answer within the deadline")
        self.settimeout(left)

    def connect(self, address: Any) -> None:  # noqa: ANN401 - socket.socket's own signature
        self._arm()
        super().connect(address)

    def sendall(self, *args: Any) -> None:  # noqa: ANN401
        self._arm()
        super().sendall(*args)

    def recv_into(self, *args: Any, **more: Any) -> int:  # noqa: ANN401
        self._arm()
        return super().recv_into(*args, **more)


class _Connection(HTTPConnection):
    def __init__(self, place: str | int, deadline_s: float) -> None:
        super().__init__("localhost")
        self._place = place
        self._deadline_s = deadline_s

    def connect(self) -> None:
        place = self._place
        found = place if isinstance(place, int) else os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.sock = _DeadlineSocket(clock.monotonic() + self._deadline_s)
            self.sock.connect(f"/proc/self/fd/{found}")
        finally:
            if found != place:
                os.close(found)


def call(
    place: str | int,
    methods: list[tuple[str, tuple[object, ...]]],
    username: str | None = None,
    password: str | None = None,
    deadline_s: float = DEADLINE_S,
) -> list[Any]:
    """The results of several methods asked at once (system.multicall) of the daemon behind the socket at `place`:
    a path, or an O_PATH descriptor of a file that may have no name any more.

    Raises Stopping, Silent or another RpcFailure; never waits longer than `deadline_s` in all.
    """
    transport = SupervisorTransport(username, password, "unix:///")
    transport._get_connection = lambda: _Connection(place, deadline_s)
    calls = [{"methodName": name, "params": list(params)} for name, params in methods]
    try:
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport)
        answers = proxy.system.multicall(calls)
    except xmlrpc.client.ProtocolError as error:
        raise RpcFailure(f"{error.errcode} {error.errmsg}") from error
    except xmlrpc.client.Fault as error:
        raise RpcFailure(f"fault {error.faultCode}: {error.faultString}") from error
    except (TimeoutError, BlockingIOError) as error:
        what = "its queue is full" if isinstance(error, BlockingIOError) else f"no answer within {deadline_s:.0f} s"
        raise Silent(what) from error
    except (OSError, HTTPException, ValueError, ExpatError, xmlrpc.client.Error) as error:
        raise RpcFailure(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
    finally:
        transport.close()
    return [_result(answer) for answer in answers] if isinstance(answers, list) else []


def _result(answer: object) -> object:
    if not isinstance(answer, dict) or "faultCode" not in answer:
        return answer
    if answer["faultCode"] == Faults.SHUTDOWN_STATE:
        raise Stopping("it is shutting down or restarting")
    raise RpcFailure(f"fault {answer['faultCode']}: {answer.get('faultString', '')}")
