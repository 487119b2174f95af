"""Every action once, by the installed agent inside its unit's sandbox, against the real thing."""

from __future__ import annotations

import json
import shutil

from harness.server import BIN, BUILT, BY_HAND, CONF, CONFIG, DISTRO_SOCKET, SHOP, SOCKET, Server
from harness.waiting import stays, wait_for

BESIDE = """[Unit]
PartOf=supervisor.service
[Service]
ExecStart=/bin/sleep infinity
"""


SERVE = "import socket, sys, time; s = socket.socket(1); s.bind(sys.argv[1]); s.listen(); time.sleep(9999)"


def _once(policy: str, watch: str, do: str, when: str = "rss > 1 MiB") -> str:
    """A policy that does this at once, and once."""
    return f"  - {{ name: {policy}, watch: {watch}, when: {when}, cooldown: 0s, limit: 1 per 12h, do: [{do}] }}\n"


def _relay(server: Server, path: str, action_of: str) -> None:
    server.machine.run("systemctl", "stop", "paramedic")
    shutil.rmtree(server.machine.path(path).parent / ".paramedic-0")
    server.machine.path(path).unlink()
    server.machine.run("systemctl", "start", "paramedic")
    told = server.healed("restore_socket")
    assert "relay" in told["actions"][-1]["detail"]
    assert "RUNNING" in server.ctl(action_of)


def test_restore_socket_by_a_relay_that_is_the_daemons_user_and_no_child_of_ours(server: Server) -> None:
    """pidfd_getfd and SIOCUNIXFILE in the sandbox, the carrier outside of it."""
    before = server.pids("daphne")
    _relay(server, SOCKET, "main")
    carrier = server.pids("paramedic/host/relay.py")[0]
    assert server.machine.sh(f"ps -o user= -p {carrier}").strip() == "deploy"
    assert server.confinement(carrier) == server.confinement(1)
    assert carrier not in server.cgroup("paramedic")
    assert server.pids("daphne") == before
    server.machine.run("systemctl", "restart", "paramedic")
    assert server.pids("paramedic/host/relay.py") == [carrier]
    server.ctl("main", "reload")
    wait_for("the daemon's own socket", lambda: "RUNNING" in server.ctl("main"), 30)


def test_repair_mode(server: Server) -> None:
    """Owner and mode of a socket that the conf gives to another user."""
    server.machine.sh("chown root:root /run/supervisor.sock; chmod 700 /run/supervisor.sock")
    server.healed("repair_mode")
    assert server.machine.sh("stat -c %U:%G:%a /run/supervisor.sock").strip().endswith("root:deploy:1770")


def test_rewrite_pidfile(server: Server) -> None:
    """A file of the daemon's user in /tmp."""
    server.machine.path("/tmp/supervisord.pid").unlink()
    server.healed("rewrite_pidfile")
    assert int(server.machine.path("/tmp/supervisord.pid").read_text()) == server.supervisord("main")


def test_reopen_logs(server: Server) -> None:
    """By a signal to a daemon of another user."""
    server.machine.path(f"{SHOP}/supervisord.log").unlink()
    server.healed("reopen_logs")
    assert server.machine.path(f"{SHOP}/supervisord.log").is_file()


def test_resume_daemon(server: Server) -> None:
    """Stopped, hence hung; it goes on as it was."""
    daemon = server.supervisord("main")
    server.machine.run("kill", "-STOP", daemon)
    server.healed("resume_daemon", 120)
    assert server.supervisord("main") == daemon


def test_stop_duplicate(server: Server) -> None:
    """A second one by hand, after the socket was taken away for a moment."""
    keeper = server.supervisord("main")
    code = f"import os,sys; os.unlink('{SOCKET}'); os.execv(sys.argv[1], sys.argv[1:])"
    conf = f"{SHOP}/supervisord.conf"
    server.machine.run("systemctl", "stop", "paramedic")
    server.machine.run(*BY_HAND, "python3", "-c", code, BIN / "supervisord", "-c", conf)
    wait_for("two daemons", lambda: len(server.pids(f"supervisord -c {conf}")) == 2, 20)
    server.machine.run("systemctl", "start", "paramedic")
    server.healed("stop_duplicate", 120)
    assert server.pids(f"supervisord -c {conf}") == [keeper]
    assert server.supervisord("main") == keeper


def test_kill_orphans(server: Server) -> None:
    """A program that outlived its daemon, which somebody started anew before paramedic could."""
    machine = server.machine
    machine.run("systemctl", "stop", "paramedic")
    orphan = server.pids("daphne.*8001")[0]
    machine.run("kill", "-9", server.supervisord("main"))
    machine.path(SOCKET).unlink(missing_ok=True)
    machine.sh(f"sed -i s/8001/8011/ {SHOP}/supervisord.conf")
    server.start_supervisord()
    assert orphan in server.pids("daphne.*8001")
    machine.run("systemctl", "start", "paramedic")
    server.healed("kill_orphans")
    assert server.pids("daphne.*8001") == []
    machine.sh(f"sed -i s/8011/8001/ {SHOP}/supervisord.conf")
    server.ctl("main", "update")


def test_restart_program(server: Server) -> None:
    """By a policy of one's own, taken over by `systemctl reload`."""
    old = server.pids("daphne.*8001")
    server.policy(
        _once("too-big", "supervisor.program", "restart_program").replace("when:", "where: name is main, when:")
    )
    server.healed("restart_program", result="")
    assert server.pids("daphne.*8001") != old
    server.policy("  []")


def test_recycle_worker(server: Server) -> None:
    """HUP to a process of another user, its app imported as that user before."""
    server.leak()
    old = server.pids("uwsgi --ini")
    server.policy(_once("worker", "uwsgi", "recycle_worker", "uss > 300 MiB"))
    server.healed("recycle_worker", 120, "")
    now = server.pids("uwsgi --ini")
    assert len(set(old) - set(now)) == 1
    server.policy("  []")


def test_chain_reload_through_a_touch_file_in_home(server: Server) -> None:
    """The import tried in a unit of its own, then the touch file of a user, then every worker."""
    machine = server.machine
    where = 'open("/tmp/imported-in", "w").write(open("/proc/self/cgroup").read())'
    with machine.path(f"{SHOP}/site/shop.py").open("a") as app:
        app.write(f"\nif 'uwsgi' not in __import__('sys').modules: {where}\n")
    old = machine.path(f"{SHOP}/reload").stat().st_mtime
    server.leak()
    server.policy(_once("chain", "uwsgi", "chain_reload", "uss > 300 MiB"))
    server.healed("chain_reload", 120, "")
    assert machine.path(f"{SHOP}/reload").stat().st_mtime > old
    assert "/paramedic-try-" in machine.path("/tmp/imported-in").read_text()
    server.policy("  []")


def test_reload_uwsgi(server: Server) -> None:
    """HUP to a master built from source, which is the same process afterwards; the wheel would not survive it."""
    machine, drop_in = server.machine, "/etc/systemd/system/shop.service.d/built.conf"
    machine.write(drop_in, f"[Service]\nExecStart=\nExecStart={BUILT} --ini {SHOP}/uwsgi.ini\n")
    machine.sh(f"echo home = {BIN.parent} >>{SHOP}/uwsgi.ini; systemctl daemon-reload; systemctl restart shop")
    master = int(server.shown("shop", "MainPID"))
    wait_for("it serves", lambda: server.http_status() == 200, 30)
    server.leak()
    old = server.pids("uwsgi --ini")
    server.policy(_once("whole", "uwsgi", "reload_uwsgi", "uss > 300 MiB"))
    server.healed("reload_uwsgi", 60, "")
    assert set(old) & set(server.pids("uwsgi --ini")) == {master} == {int(server.shown("shop", "MainPID"))}
    assert server.http_status() == 200
    server.policy("  []")
    machine.path(drop_in).unlink()
    machine.sh(f"sed -i '/^home/d' {SHOP}/uwsgi.ini; systemctl daemon-reload; systemctl restart shop")
    wait_for("it serves", lambda: server.http_status() == 200, 30)


def test_restart_supervisord_in_place_of_a_foreign_one(server: Server) -> None:
    """Another conf's daemon of the same user took the path, and a person's policy lets it be replaced."""
    machine, ours, other = server.machine, f"{SHOP}/supervisord.conf", f"{SHOP}/other.conf"
    replace = "restart_supervisord: { replace: true }"
    server.policy(_once("replaced", "supervisor", replace, "diagnosis is daemon-foreign"))
    machine.write(other, CONF.replace("supervisord.pid", "other.pid").replace("supervisord.log", "other.log"))
    server.ctl("main", "shutdown")
    wait_for("it has left", lambda: not server.pids(f"supervisord -c {ours}"), 20)
    machine.run(*BY_HAND, BIN / "supervisord", "-c", other)
    server.healed("restart_supervisord")
    assert server.pids(f"supervisord -c {other}") == []
    assert server.pids(f"supervisord -c {ours}") == [server.supervisord("main")]
    wait_for("its program runs", lambda: "RUNNING" in server.ctl("main"), 20)
    server.policy("  []")


def test_a_hung_daemon_of_a_unit_is_stopped_and_started_by_systemd_with_what_is_part_of_it(server: Server) -> None:
    """Its ExecStop= asks the daemon that hangs."""
    machine = server.machine
    machine.write("/etc/systemd/system/beside.service", BESIDE)
    machine.sh("systemctl daemon-reload; systemctl start beside")
    old = server.supervisord("distro")
    server.policy(_once("hung-now", "supervisor", "restart_supervisord", "diagnosis is daemon-hung"))
    machine.run("kill", "-STOP", old)
    told = server.healed("restart_supervisord", 100)
    detail = told["actions"][-1]["detail"]
    assert "told systemd to stop supervisor.service" in detail
    assert "started beside.service again" in detail
    assert server.shown("supervisor", "MainPID") == str(server.supervisord("distro")) != str(old)
    assert server.shown("beside", "ActiveState") == "active"
    wait_for("one Daphne of its own", lambda: len(server.pids("daphne.*8002")) == 1)
    server.policy("  []")


def test_a_vanished_folder_of_a_guarded_socket_is_made_again_with_its_owner(server: Server) -> None:
    """CAP_CHOWN and CAP_FOWNER: a folder of another user, and the socket of a server that is no supervisord."""
    machine, path = server.machine, "/tmp/app/app.sock"
    machine.sh("install -d -o deploy -g deploy -m 750 /tmp/app")
    machine.run("systemd-run", "--quiet", "--unit=serve", "--uid=deploy", "python3", "-c", SERVE, path)
    wait_for("it listens", lambda: machine.path(path).exists())
    config = machine.path("/etc/paramedic/paramedic.yaml").read_text()
    server.configure(config.replace("notify:", f"  sockets:\n    app: {{ path: {path}, relay: true }}\nnotify:"))
    wait_for("a link is kept", lambda: list(machine.path("/tmp/app").glob(".paramedic-0/app.sock")), 30)
    machine.sh("rm -r /tmp/app")
    server.healed("restore_socket")
    assert machine.sh("stat -c %U:%G:%a /tmp/app").strip() == "deploy:deploy:750"
    assert machine.sh("stat -c %U /tmp/app/app.sock").strip() == "deploy"
    machine.sh("systemctl stop serve")
    server.configure(config)


def test_a_foreign_daemon_of_a_unit_is_stopped_by_the_unit_and_does_not_come_back(server: Server) -> None:
    """The distribution's own serves our path; its unit's Restart= would bring back one that was only ended."""
    machine, conf = server.machine, "/etc/supervisor/supervisord.conf"
    replace = "restart_supervisord: { replace: true }"
    server.policy(_once("unit-replaced", "supervisor", replace, "diagnosis is daemon-foreign"))
    server.configure("".join(line for line in CONFIG.splitlines(keepends=True) if "distro:" not in line))
    server.begin()
    server.ctl("main", "shutdown")
    machine.sh(f"cp {conf} /root/kept; sed -i s,/var{DISTRO_SOCKET},{SOCKET}, {conf}; systemctl restart supervisor")
    told = server.healed("restart_supervisord")
    assert "told systemd to stop supervisor.service" in told["actions"][-1]["detail"]
    assert server.pids(f"supervisord -c {SHOP}/supervisord.conf") == [server.supervisord("main")]
    stays("it is not back", lambda: server.shown("supervisor", "ActiveState") == "inactive", 3.0)
    assert server.shown("supervisor", "SubState") == "dead", "nor does it wait for its RestartSec"
    machine.sh(f"mv /root/kept {conf}; systemctl start supervisor")
    server.configure()
    server.policy("  []")


def test_run_outside_of_the_sandbox(server: Server) -> None:
    """A person's own program writes where the agent cannot."""
    run = "run: { argv: [/usr/bin/touch, /etc/ran-outside] }"
    server.policy(_once("own-program", "host", run, "memory.total > 1 MiB"))
    server.healed("run", result="")
    assert server.machine.path("/etc/ran-outside").exists()
    server.policy("  []")


def test_start_uwsgi_through_its_unit(server: Server) -> None:
    """Killed, with no Restart= in its unit."""
    old = int(server.shown("shop", "MainPID"))
    server.machine.run("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "shop")
    server.healed("start_uwsgi", 120)
    new = int(server.shown("shop", "MainPID"))
    assert new not in (0, old)
    assert server.http_status() == 200


def test_notices_reach_the_pager_outside_of_the_sandbox(server: Server) -> None:
    """All that happened above was told; the pager wrote where the agent could, and as root."""
    pages = [json.loads(line) for line in server.machine.path("/var/log/pages").read_text().splitlines() if line]
    assert {"opened", "healed"} <= {page["event"] for page in pages}
