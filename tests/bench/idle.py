"""What watching costs while all is well: the agent beside Monit, on the same things, among more and more processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conftest import CAN_SWITCH, make_stack
from harness.processes import end, is_alive, marked
from harness.stack import BIN, EmbeddedStack
from harness.waiting import wait_for

WORKERS = (4, 16, 64)
OTHERS = (80, 500, 2000)
WINDOWS, WINDOW_S = 4, 5.0
SETTLES_S = 3.0
SHARE_OF_MONIT = {80: 1 / 4, 2000: 1 / 40}
MOST_RSS_MIB = 32.0
FLAT = 1.25
CROWD = """
import os, sys
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        os.read(0, 1)
        os._exit(0)
    print(pid)
print("all", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
# What the agent looks at in every pass, as far as Monit can: it asks Supervisor for its programs and uWSGI for its
# stats too, but understands no more of the answers than a pattern. It knows neither USS nor PSS nor PSI, nor whether
# it is the right process that listens.
ASKS_ALL = "<?xml version='1.0'?><methodCall><methodName>supervisor.getAllProcessInfo</methodName></methodCall>"
MONITRC = """set daemon 1
set limits {{ sendExpectBuffer: 16 kB }}
set log {folder}/monit.log
set idfile {folder}/monit.id
set statefile {folder}/monit.state
set pidfile {folder}/monit.pid
check process supervisord with pidfile {folder}/tmp/supervisord.pid
  if failed unixsocket {socket}
    send "POST /RPC2 HTTP/1.0\\r\\nContent-Type: text/xml\\r\\nContent-Length: {length}\\r\\n\\r\\n{asks_all}"
    expect "RUNNING"
  then alert
check file socket path {socket}
  if does not exist then alert
  if failed permission 1700 then alert
  if failed uid {uid} then alert
check file link path {socket.parent}/.paramedic-{agent}/{socket.name}
  if does not exist then alert
check file conf path {conf}
  if changed timestamp then alert
check file log path {conf.parent}/supervisord.log
  if does not exist then alert
check file program_log path {conf.parent}/daphne.log
  if does not exist then alert
check process daphne with pidfile {folder}/tmp/daphne.pid
  if failed host 127.0.0.1 port {daphne_port} then alert
  if total memory > 4 GB for 5 cycles then alert
check process uwsgi with pidfile {folder}/tmp/uwsgi.pid
  if failed unixsocket {folder}/tmp/stats.sock expect "accepting" then alert
  if total memory > 16 GB for 5 cycles then alert
check file stats path {folder}/tmp/stats.sock
  if does not exist then alert
check file ini path {ini}
  if changed timestamp then alert
check file touch path {touch}
  if changed timestamp then alert
check system host
  if memory usage > 85% for 5 cycles then alert
  if swap usage > 50% for 5 cycles then alert
"""
WORKER = """check process worker{id} with pidfile {folder}/tmp/worker{id}.pid
  if memory usage > 300 MB for 5 cycles then alert
"""


@dataclass(frozen=True)
class Case:
    """CPU time of one pass and one cycle in ms, memory of both in MiB, at so many workers and other processes."""

    workers: int
    others: int
    agent_ms: float
    monit_ms: float
    agent_rss: float
    agent_pss: float
    monit_rss: float
    monit_pss: float


class Crowd:
    """Processes that sleep until the bench lets go of their pipe, or ends in whatever way."""

    def __init__(self) -> None:
        self._forkers: list[subprocess.Popen[str]] = []
        self._pids: list[int] = []

    def grow(self, more: int) -> None:
        """So many more."""
        argv = [sys.executable, "-I", "-S", "-c", CROWD, str(more)]
        forker = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._forkers.append(forker)
        assert forker.stdout is not None
        for line in forker.stdout:
            if line == "all\n":
                return
            self._pids.append(int(line))
        raise AssertionError("the crowd ended too early")

    def close(self) -> None:
        """End all of them."""
        for forker in self._forkers:
            assert forker.stdin is not None
            forker.stdin.close()
        for forker in self._forkers:
            forker.wait(30)
        for pid in filter(is_alive, self._pids):
            end(pid, signal.SIGKILL, 5.0)
        self._forkers, self._pids = [], []


def cpu_s(pid: int) -> float:
    """CPU time of all threads of a process so far (/proc/PID/task/TID/schedstat counts nanoseconds)."""
    texts = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(text.split()[0]) for text in texts) / 1e9


def memory_mib(pid: int) -> tuple[float, float]:
    """(RSS, PSS)."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kib = {words[0]: int(words[1]) for words in lines}
    return kib["Rss:"] / 1024, kib["Pss:"] / 1024


def others_than(ours: Sequence[int]) -> int:
    """How many processes there are beside these."""
    return sum(name.isdigit() and int(name) not in ours for name in os.listdir("/proc"))


@contextlib.contextmanager
def started(workers: int) -> Iterator[tuple[EmbeddedStack, int, int]]:
    """(a stack with so many workers, the agent's pid, Monit's pid), both looking once in a second."""
    stack = make_stack("agent as root" if CAN_SWITCH else "as me")
    memory = Path(tempfile.mkdtemp(prefix=stack.mark, dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    try:
        stack.ini.write_text(stack.ini.read_text().replace("processes = 4", f"processes = {workers}"))
        stack.sockets = {"stats": f"{{ path: {stack.folder}/tmp/stats.sock }}"}
        stack.start_supervisord()
        stack.start_uwsgi()
        agent = start_agent(stack, memory / "run")
        yield stack, agent, start_monit(stack)
    finally:
        stack.close()
        shutil.rmtree(memory, ignore_errors=True)


def start_agent(stack: EmbeddedStack, runtime_dir: Path) -> int:
    """`paramedic run` with what it publishes in memory, as /run is on a real host."""
    stack.write_config()
    lines = stack.config.read_text().splitlines()
    kept = [f"runtime_dir: {runtime_dir}" if line.startswith("runtime_dir:") else line for line in lines]
    stack.config.write_text("\n".join(kept) + "\n")
    argv = [BIN / "paramedic", "run", "--config", stack.config]
    child = stack.spawn(argv, stack.agent_owner, "agent.log", stack.folder)
    wait_for("the agent's first pass", lambda: (runtime_dir / "status.sock").exists() or child.poll() is not None)
    if child.poll() is not None:
        raise AssertionError(stack.agent_log())
    return child.pid


def start_monit(stack: EmbeddedStack) -> int:
    """Monit as the agent's user."""
    conf = stack.folder / "monitrc"
    daphne = wait_for("Daphne runs", stack.daphnes)
    (stack.folder / "tmp" / "daphne.pid").write_text(f"{daphne[0]}\n")
    told: dict[str, object] = {"asks_all": ASKS_ALL, "length": len(ASKS_ALL)}
    told |= {name: getattr(stack, name) for name in ("folder", "socket", "conf", "ini", "touch", "uid", "daphne_port")}
    text = MONITRC.format(agent=stack.agent_owner.uid if stack.agent_owner else os.geteuid(), **told)
    for number, pid in stack.worker_pids().items():
        (stack.folder / "tmp" / f"worker{number}.pid").write_text(f"{pid}\n")
        text += WORKER.format(id=number, folder=stack.folder)
    conf.write_text(text)
    conf.chmod(0o600)
    child = stack.spawn(["monit", "-I", "-c", conf], stack.agent_owner, "monit.out", stack.folder)
    log = stack.folder / "monit.log"
    wait_for("Monit watches", lambda: log.exists() and "started" in log.read_text(), 20)
    return child.pid


def measure(workers: int, others: int, agent: int, monit: int) -> Case:
    """The medians of several windows, each of as many passes as cycles."""
    time.sleep(SETTLES_S)
    rows = []
    for _ in range(WINDOWS):
        before, began = (cpu_s(agent), cpu_s(monit)), time.monotonic()
        time.sleep(WINDOW_S)
        passes = time.monotonic() - began
        rows.append([(now - was) * 1e3 / passes for now, was in zip((cpu_s(agent), cpu_s(monit)), before, strict=True)])
    agent_ms, monit_ms = (statistics.median(column) for column in zip(*rows, strict=True))
    return Case(workers, others, agent_ms, monit_ms, *memory_mib(agent), *memory_mib(monit))


def print_idle() -> None:
    """Every number of workers among every number of other processes."""
    if shutil.which("monit") is None:
        print("the idle agent beside Monit: not installed (apt-get install monit)")
        return
    version = subprocess.run(["monit", "-V"], capture_output=True, text=True, timeout=10).stdout.splitlines()[0]
    print(f"the idle agent beside {version.removeprefix('This is ')}: CPU of a pass and of a cycle, one a second each")
    print("  workers  others    agent    monit   agent/monit    RSS  (PSS)   monit's")
    cases = []
    for workers in WORKERS:
        crowd = Crowd()
        try:
            with started(workers) as (stack, agent, monit):
                for others in OTHERS:
                    ours = marked(stack.mark)
                    crowd.grow(max(0, others - others_than(ours)))
                    cases.append(measure(workers, others, agent, monit))
                    _print_case(cases[-1])
        finally:
            crowd.close()
    for name, bound in BOUNDS.items():
        print(f"  {'PASS' if bound(cases) else 'FAIL'}  {name}")


def _print_case(case: Case) -> None:
    cpu = f"{case.agent_ms:6.2f} ms {case.monit_ms:6.1f} ms   1/{case.monit_ms / case.agent_ms:<5.1f}"
    memory = f"{case.agent_rss:9.1f} ({case.agent_pss:.1f}) {case.monit_rss:6.1f} ({case.monit_pss:.1f}) MiB"
    print(f"  {case.workers:7d} {case.others:7d} {cpu} {memory}", flush=True)


def _is_share(others: int) -> Callable[[list[Case]], bool]:
    wanted = SHARE_OF_MONIT[others]
    return lambda cases: all(case.agent_ms <= wanted * case.monit_ms for case in cases if case.others == others)


def _is_flat(cases: list[Case]) -> bool:
    of = {(case.workers, case.others): case.agent_ms for case in cases}
    return all(of[workers, max(OTHERS)] <= FLAT * of[workers, min(OTHERS)] for workers in WORKERS)


def _is_linear(cases: list[Case]) -> bool:
    """A worker more costs no more among many workers than among few, within a quarter and what is noise."""
    of = {workers: statistics.median(c.agent_ms for c in cases if c.workers == workers) for workers in WORKERS}
    few, some, many = WORKERS
    each = (of[some] - of[few]) / (some - few)
    return of[many] <= FLAT * (of[some] + max(each, 0.0) * (many - some))


BOUNDS: dict[str, Callable[[list[Case]], bool]] = {
    "at 80 other processes a pass costs at most a quarter of Monit's cycle": _is_share(80),
    "at 2,000 other processes a pass costs at most a fortieth of Monit's cycle": _is_share(2000),
    "at most 32 MiB RSS": lambda cases: all(case.agent_rss <= MOST_RSS_MIB for case in cases),
    "other processes cost a pass nothing (within a quarter)": _is_flat,
    "workers cost a pass no more than in proportion (within a quarter)": _is_linear,
}
