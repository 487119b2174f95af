"""A program of its own: carries connections from a path to a listening socket whose file was deleted.

Started by `relaying.start` with everything it needs open (as stdin, stdout and stderr where it is a systemd service),
it drops to the daemon's user before it accepts, lives outside the agent's session, and leaves when the daemon ends,
when its path is no longer its own, or on SIGTERM. It removes its path only if that is still its own inode. Standard
library only: it must start in a few milliseconds.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time

CHUNK = 64 * 1024
MOST_PAIRS = 200
LOOK_S = 1.0
FULL_S = 0.02
SETTLE_S = 3.0
FINISH_S = 5.0
_PR_SET_DUMPABLE = 4


class Flow:
    """Bytes on their way from one socket to the other; at most CHUNK of them wait."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.waiting = b""
        self.is_over = False

    def take(self) -> None:
        """Read what is there; the end of the source is passed on when everything before it is."""
        try:
            data = self.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.waiting += data
        self.is_over = not data

    def give(self) -> None:
        """Write what the sink takes; what cannot be written any more ends the flow."""
        try:
            self.waiting = self.waiting[self.sink.send(self.waiting) :] if self.waiting else b""
        except BlockingIOError:
            return
        except OSError:
            self.waiting, self.is_over = b"", True
        if self.is_over and not self.waiting:
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)

    @property
    def is_done(self) -> bool:
        """Whether nothing more will flow."""
        return self.is_over and not self.waiting


class Relay:
    """The listener, the live socket behind it, and the pairs of connections between them."""

    def __init__(self, listener: socket.socket, live: int, daemon: int, inode: int, path: str) -> None:
        self.listener, self.live, self.daemon = listener, live, daemon
        self.inode, self.path = inode, path
        self.began = time.monotonic()
        self.was_seen = False
        self.must_leave = False
        self.pairs: list[tuple[Flow, Flow]] = []

    def run(self) -> None:
        """Carry until there is a reason to leave, then finish what is open."""
        while not self.must_leave and not self._is_superseded():
            if self._carry(LOOK_S):
                self._remove_own()
                return
        self.listener.close()
        until = time.monotonic() + FINISH_S
        while self.pairs and time.monotonic() < until:
            if self._carry(0.1):
                return

    def _is_superseded(self) -> bool:
        """Whether something else stands at the path; at first it may take a moment until we do. Not while we may not
        look: whoever gets there is carried.
        """
        try:
            is_ours = os.lstat(self.path).st_ino == self.inode
        except PermissionError:
            return False
        except OSError:
            is_ours = False
        self.was_seen = self.was_seen or is_ours
        return not is_ours and (self.was_seen or time.monotonic() - self.began > SETTLE_S)

    def _carry(self, patience_s: float) -> bool:
        """Wait for traffic and move it; True when the daemon has ended."""
        poll = select.poll()
        poll.register(self.daemon, select.POLLIN)
        if self.listener.fileno() >= 0 and len(self.pairs) < MOST_PAIRS:
            poll.register(self.listener, select.POLLIN)
        for fd, events in self._wanted().items():
            poll.register(fd, events)
        ready = dict(poll.poll(patience_s * 1000))
        if self.daemon in ready:
            return True
        for pair in list(self.pairs):
            self._move(pair, ready)
        if self.listener.fileno() in ready:
            self._accept()
        return False

    def _wanted(self) -> dict[int, int]:
        """What to wait for on each descriptor; with 0 only for its peer's full close (POLLHUP)."""
        wanted: dict[int, int] = {}
        for flow in (flow for pair in self.pairs for flow in pair):
            source, sink = flow.source.fileno(), flow.sink.fileno()
            may_read = not flow.waiting and not flow.is_over
            if may_read or flow.is_done:
                wanted[source] = wanted.get(source, 0) | (select.POLLIN if may_read else 0)
            if flow.waiting:
                wanted[sink] = wanted.get(sink, 0) | select.POLLOUT
        return wanted

    def _move(self, pair: tuple[Flow, Flow], ready: dict[int, int]) -> None:
        for flow in pair:
            if flow.source.fileno() in ready and not flow.waiting and not flow.is_over:
                flow.take()
            flow.give()
        gone = [flow.is_done and ready.get(flow.source.fileno(), 0) & select.POLLHUP for flow in pair]
        if any(gone) or all(flow.is_done for flow in pair):
            self.pairs.remove(pair)
            for flow in pair:
                flow.source.close()

    def _accept(self) -> None:
        """Reach the server first: while its queue is full the client waits in ours, as it would in the server's own."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        server.setblocking(False)
        is_reached = True
        try:
            server.connect(f"/proc/self/fd/{self.live}")
        except BlockingIOError:
            server.close()
            time.sleep(FULL_S)
            return
        except OSError:
            is_reached = False
        try:
            client, _ = self.listener.accept()
        except OSError:
            server.close()
            return
        if not is_reached:
            client.close()
            server.close()
            return
        client.setblocking(False)
        self.pairs.append((Flow(client, server), Flow(server, client)))

    def _remove_own(self) -> None:
        """Take our name away, and put back what turns out not to be ours."""
        aside = f"{self.path}.leaving-{os.getpid()}"
        with contextlib.suppress(OSError):
            if os.lstat(self.path).st_ino != self.inode:
                return
            os.rename(self.path, aside)
            if os.lstat(aside).st_ino == self.inode:
                os.unlink(aside)
            else:
                os.link(aside, self.path, follow_symlinks=False)
                os.unlink(aside)


def groups_of(pid: int, daemon: int) -> list[int]:
    """The supplementary groups of the process behind the pidfd `daemon`; none where it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            line = next((line for line in status if line.startswith("Groups:")), "")
    except OSError:
        return []
    poll = select.poll()
    poll.register(daemon, select.POLLIN)
    return [] if poll.poll(0) else [int(word) for word in line.split()[1:]]


def drop(uid: int, gid: int, groups: list[int]) -> None:
    """Become the daemon's user with its groups, which may be what lets it into the folder of its socket, and stay able
    to open /proc/self/fd (prctl(2), PR_SET_DUMPABLE).
    """
    if os.geteuid() == 0 and uid != 0:
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def detach() -> None:
    """Go on in a child with a session of its own; the parent prints its pid and ends."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        is_alive = os.read(reader, 1)
        print(child if is_alive else 0, flush=True)
        os._exit(0 if is_alive else 1)
    os.setsid()
    os.write(writer, b"1")
    os.close(writer)
    os.close(reader)


def let_go() -> None:
    """Of stdin, stdout and stderr."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)


def main(words: list[str]) -> None:
    """`LISTENER LIVE DAEMON UID GID INODE LIVE_INODE PID START PATH`: descriptors, whom to become, our own inode; then,
    for those who look at us, that of the live socket and its process; the path.
    """
    listener, live, daemon, uid, gid, inode = (int(word) for word in words[:6])
    is_service = listener == 0
    if is_service:
        listener, live, daemon = (os.dup(fd) for fd in (listener, live, daemon))
    relay = Relay(socket.socket(fileno=listener), live, daemon, inode, words[-1])

    def leave(_number: int, _frame: object) -> None:
        relay.must_leave = True

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    relay.listener.setblocking(False)
    if not is_service:
        detach()
    let_go()
    os.chdir("/")
    drop(uid, gid, groups_of(int(words[7]), daemon))
    relay.run()


if __name__ == "__main__":
    main(sys.argv[1:])
