"""A daemon's owner and a stranger try to make the root agent do for them what they could not do themselves."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from harness.processes import is_alive
from harness.stack import POLICIES, EmbeddedStack, Owner
from harness.stranger import STRANGER, serve_lies
from harness.waiting import stays, wait_for
from paramedic.host.uwsgi_stats import fetch_stats
from stack.test_memory import LIMIT_MIB, fatten

LONG_AGO = 1_000_000_000
FAKE = """
import json, os, signal, socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(('127.0.0.1', int(sys.argv[1])))
server.listen()
print('listening', flush=True)
victim = int(sys.argv[2])
row = {'accepting': 1, 'status': 'idle', 'requests': 1, 'exceptions': 0, 'harakiri_count': 0, 'respawn_count': 1,
       'last_spawn': 1, 'apps': [{'startup_time': 1}], 'rss': 1 << 40}
document = {'pid': os.getpid(), 'version': '2.0.31', 'workers': [{**row, 'id': n, 'pid': victim} for n in (1, 2)]}
while True:
    client, _ = server.accept()
    client.sendall(json.dumps(document).encode())
    client.close()
"""


@pytest.fixture
def attacked(lone_stack: EmbeddedStack) -> EmbeddedStack:
    """A stack of an ordinary user below an agent of root's."""
    if lone_stack.owner is None or os.geteuid() != 0:
        pytest.skip("needs root: the attacker is another user")
    return lone_stack


@pytest.fixture
def precious(attacked: EmbeddedStack) -> Path:
    """A file of root's that was not touched for long."""
    path = attacked.folder / "etc" / "precious"
    path.write_text("root's\n")
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_the_owner_of_an_ini_does_not_have_root_touch_a_file_of_roots(attacked: EmbeddedStack, precious: Path) -> None:
    stack = attacked
    stack.ini.write_text(stack.ini.read_text().replace("%dreload", str(precious)))
    stack.start_uwsgi()
    stack.add_policies(POLICIES.format(limit=f"{LIMIT_MIB} MiB"))
    fatten(stack)
    stack.start_agent()
    told = stack.incident("worker-over-limit", "refused", 20)
    assert "belongs to user 0, and another one names it" in told["actions"][0]["detail"]
    assert precious.stat().st_mtime == LONG_AGO


def test_the_environment_of_a_uwsgi_names_no_file_for_root_to_touch(attacked: EmbeddedStack, precious: Path) -> None:
    """root's own ini, with a placeholder that its user fills."""
    stack = attacked
    stack.ini.write_text(stack.ini.read_text().replace("%dreload", "$(PLACE)/precious"))
    for path in (stack.ini, stack.ini.parent):
        os.chown(path, 0, 0)
    stack.more_environment["PLACE"] = str(precious.parent)
    stack.start_uwsgi()
    stack.add_policies(POLICIES.format(limit=f"{LIMIT_MIB} MiB"))
    fatten(stack)
    stack.start_agent()
    told = stack.incident("worker-over-limit", "refused", 20)
    assert "belongs to user 0, and another one names it" in told["actions"][0]["detail"]
    assert precious.stat().st_mtime == LONG_AGO


EDIT = "import sys; path, old, new = sys.argv[1:]; t = open(path).read(); open(path, 'w').write(t.replace(old, new, 1))"


def test_what_a_user_writes_into_the_conf_of_roots_daemon_is_not_carried_out() -> None:
    """It was never loaded: neither the socket nor a file of root's is given away for it."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the attacker is another user")
    stack, user = EmbeddedStack(), Owner.nobody()
    try:
        stack.folder.chmod(0o755)
        os.chown(stack.conf, user.uid, user.gid)
        stack.interval = "500ms"
        daemon = stack.start_supervisord()
        stack.start_agent()
        wait_for("its launch is recorded", lambda: list(stack.folder.glob("state/paramedic/recipes/main.json")))
        wait_for("a link is kept", (stack.socket.parent / ".paramedic-0" / stack.socket.name).exists)
        mine = f"pidfile={stack.folder}/etc/nologin\n;"
        edits = {"pidfile-wrong": ("pidfile=", mine), "socket-denied": ("[supervisord]", "chown=nobody\n[supervisord]")}
        for policy, (old, new) in edits.items():
            editor = stack.spawn([sys.executable, "-c", EDIT, stack.conf, old, new], user, "edit.log")
            assert editor.wait(10) == 0, (stack.folder / "edit.log").read_text()
            told = stack.incident(policy, "refused", 40)
            assert "its daemon runs as root" in told["actions"][0]["detail"], told
        assert not (stack.folder / "etc" / "nologin").exists()
        assert (stack.socket.stat().st_uid, stack.socket.stat().st_mode & 0o077) == (0, 0)
        for kept in (stack.socket.parent / ".paramedic-0").iterdir():
            kept.unlink()
        stack.socket.unlink()
        wait_for("a relay stands there", stack.socket.exists, 20)
        assert (stack.socket.stat().st_uid, stack.socket.stat().st_mode & 0o077) == (0, 0)
        assert stack.supervisords() == [daemon]
    finally:
        stack.close()


def test_a_stranger_on_the_stats_port_of_a_dead_uwsgi_is_nobody(attacked: EmbeddedStack) -> None:
    stack = attacked
    text = stack.ini.read_text().replace(f"stats = {stack.folder}/tmp/stats.sock", "stats = 127.0.0.1:0")
    port = stack.uwsgi_port + 1
    stack.ini.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    master = stack.spawn([stack.uwsgi_bin, "--ini", stack.ini.name], stack.owner, "uwsgi.log", stack.ini.parent)
    wait_for("it serves", lambda: stack.status(stack.uwsgi_port) == 200)
    stack.start_agent()
    kept = stack.folder / "state" / "paramedic" / "recipes" / "uwsgi-web.json"
    wait_for("its launch is recorded", kept.exists)
    before = kept.read_text()
    stack.end(master.pid)
    bystander = stack.spawn(["/bin/sleep", "600"], Owner.nobody(), "bystander.log")
    script = stack.folder / "uwsgi.py"
    script.write_text(FAKE)
    log = "stranger.log"
    stranger = stack.spawn([sys.executable, script, port, bystander.pid], STRANGER, log)
    wait_for("the stranger listens", lambda: "listening" in (stack.folder / log).read_text())
    wait_for("it is told", lambda: f"as user {STRANGER.uid}" in stack.agent_log())
    assert json.loads(kept.read_text()) == json.loads(before), "nobody else's launch is recorded in its place"
    assert is_alive(bystander.pid)
    assert is_alive(stranger.pid)


LIES = {"kill": {"accepting": 0, "apps": []}, "recycle": {"requests": 2_000_000, "status": "idle"}}
BELIEVED = """policies:
  - name: unstick
    watch: uwsgi
    when: diagnosis in (chain-stalled, worker-stuck)
    for: 1s
    do: [recycle_worker: { stuck: kill }]
    limit: none
  - name: used-up
    watch: uwsgi.worker
    when: requests > 1000000
    for: 1s
    do: [recycle_worker]
    limit: none
"""


@pytest.mark.parametrize("lie", LIES)
def test_a_stranger_on_the_deleted_stats_socket_of_a_living_uwsgi_is_not_believed(
    attacked: EmbeddedStack, lie: str
) -> None:
    """With the pids of the real master and workers, in a folder where everybody may make files."""
    stack, stats = attacked, attacked.folder / "stats.sock"
    stack.ini.write_text(stack.ini.read_text().replace(f"stats = {stack.folder}/tmp/stats.sock", f"stats = {stats}"))
    stack.uwsgi_extra = ", boot: 5s"
    stack.add_policies(BELIEVED)
    stack.spawn([stack.uwsgi_bin, "--ini", stack.ini.name], stack.owner, "uwsgi.log", stack.ini.parent)
    wait_for("it serves", lambda: stack.status(stack.uwsgi_port) == 200 and stats.exists())
    wait_for("all accept", lambda: all(row["accepting"] for row in fetch_stats(str(stats))[0]["workers"]))
    stack.start_agent()
    wait_for("it is well", lambda: stack.published()["facts"]["subjects"]["uwsgi:web"]["diagnosis"] == "ok")
    document, _ = fetch_stats(str(stats))
    stats.unlink()
    document["workers"][1] |= LIES[lie]
    serve_lies(stack, stats, json.dumps(document), is_asked=False)
    wait_for("it is told", lambda: "is not proven to be the one that listens" in stack.agent_log())
    workers = [row["pid"] for row in document["workers"]]
    stays("every worker lives", lambda: all(is_alive(pid) for pid in workers), 8.0)
    assert not [line for line in stack.agent_log().splitlines() if "recycle_worker" in line]


def test_an_agent_of_roots_does_not_start_on_what_others_can_write(attacked: EmbeddedStack) -> None:
    stack = attacked
    stack.write_config()
    assert stack.paramedic("check").returncode == 0
    nobody = Owner.nobody()
    for path in (stack.config, stack.config.parent, stack.folder):
        was = path.stat()
        os.chown(path, nobody.uid, nobody.gid)
        found = stack.paramedic("run", "--once")
        os.chown(path, was.st_uid, was.st_gid)
        assert found.returncode == 2
        assert f"cannot trust it: others than root can change {path}" in found.stderr
    os.chown(stack.folder / "state", nobody.uid, nobody.gid)
    found = stack.paramedic("run", "--once")
    assert "others can change" in found.stderr, "who can put another state folder there writes recipes that root runs"
    assert found.returncode != 0


def test_a_folder_that_became_a_link_to_roots_gets_no_socket(attacked: EmbeddedStack, precious: Path) -> None:
    stack = attacked
    stack.start_supervisord()
    stack.start_agent()
    kept = stack.folder / "tmp" / ".paramedic-0" / stack.socket.name
    wait_for("a link is kept", kept.exists)
    away = stack.folder / "home" / "away"

    def swap() -> None:
        stack.socket.parent.rename(away)
        stack.socket.parent.symlink_to(precious.parent)

    os.chown(stack.folder, stack.uid, -1)
    stack.as_owner(swap)
    os.chown(stack.folder, 0, -1)
    before = sorted(os.listdir(precious.parent))
    stays("nothing is put there", lambda: sorted(os.listdir(precious.parent)) == before, 3.0)
    assert (away / stack.socket.name).exists()
