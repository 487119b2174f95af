"""A newcomer's first minutes: the README's commands on a server that has a stack and never saw paramedic."""

from __future__ import annotations

import json

from harness.server import OFFLINE, ROOT, SOCKET, Server, readme_commands
from harness.waiting import wait_for

MOST_EXPOSED = 3.0
PLACED = (
    "etc/paramedic/paramedic.yaml",
    "usr/local/bin/paramedic",
    "usr/local/lib/systemd/system/paramedic.service",
    "usr/local/lib/sysusers.d/paramedic.conf",
    "usr/local/lib/tmpfiles.d/paramedic.conf",
    "usr/local/share/bash-completion/completions/paramedic",
    "usr/local/share/fish/vendor_completions.d/paramedic.fish",
    "usr/local/share/man/man1/paramedic.1",
    "usr/local/share/zsh/site-functions/_paramedic",
)
FIGURES = ROOT / "build" / "figures" / "system.json"


def keep(**figures: object) -> None:
    """Figures of this run, for docs/reliability.md."""
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps({**known, **figures}))


def test_three_commands_lead_to_a_running_unit_that_touches_nothing(installed: Server) -> None:
    """Active means that it has looked once; observe means that it keeps no link."""
    assert len(readme_commands()) == 3
    assert installed.shown("paramedic", "ActiveState") == "active"
    assert "in mode observe" in installed.machine.sh("journalctl -u paramedic")
    assert "memory" in installed.shown("paramedic", "StatusText")
    assert not list(installed.machine.path("/tmp").glob(".paramedic-*"))
    assert "mode: observe" in installed.outputs[1].stdout


def test_what_was_installed_is_of_the_lock_and_of_root(installed: Server) -> None:
    """Nobody but root can change what root runs, and nothing is left half made."""
    machine = installed.machine
    assert machine.sh("find /opt/paramedic ! -user root -o -perm /022 ! -type l") == ""
    assert machine.sh("ls -d /opt/paramedic*") == "/opt/paramedic\n"
    assert machine.sh("stat -c %U:%G:%a /var/lib/paramedic /run/paramedic").split()[0] == "root:root:700"
    assert machine.sh("getent group paramedic").startswith("paramedic:x:")
    assert "paramedic" in machine.run("paramedic", "--version").stdout
    locked = [line.split()[0] for line in (ROOT / "locks" / "run.txt").read_text().splitlines() if "==" in line]
    found = machine.sh("ls /opt/paramedic/lib/python3*/site-packages | grep dist-info").lower()
    assert [name for name in locked if f"{name.replace('==', '-')}.dist-info" not in found] == []


def test_a_packager_gets_the_same_below_destdir_and_nothing_else_changes(installed: Server) -> None:
    """Everything is in its place, here and there; the running agent is left alone."""
    machine, look = installed.machine, "find /opt /usr/local /etc /lib/systemd -printf '%p %T@\\n' | sort"
    before, agent = machine.sh(look), installed.agent()
    machine.run("make", "-C", "/root/paramedic", "install", "DESTDIR=/root/dest", env=OFFLINE, timeout=180)
    assert machine.sh(look) == before
    assert installed.agent() == agent
    placed = machine.sh("cd /root/dest && find . ! -type d ! -path './opt/*'").split()
    assert sorted(placed) == sorted(f"./{name}" for name in PLACED)
    assert machine.sh("cd / && ls " + " ".join(PLACED)).split() == sorted(PLACED)
    found = [machine.sh(f"cd {root} && find opt/paramedic ! -type d | sort") for root in ("/root/dest", "/")]
    assert found[0] == found[1]
    assert "/root/dest" not in machine.sh("grep -rlI /root/dest /root/dest/opt || true")
    machine.sh("rm -r /root/dest")


def test_the_unit_is_exposed_as_little_as_is_said(installed: Server) -> None:
    """systemd-analyze's own verdict, kept for docs/reliability.md."""
    argv = ("systemd-analyze", "security", "--no-pager", "paramedic.service")
    said = installed.machine.run(*argv).stdout
    score = float(said.split("for paramedic.service: ")[1].split()[0])
    keep(exposure=score, systemd=installed.machine.sh("systemctl --version").split()[1])
    assert score <= MOST_EXPOSED, said
    assert installed.machine.run("systemd-analyze", "verify", "--man=no", "paramedic.service").stderr == ""


def test_what_init_finds_is_healed_after_one_word_is_changed(installed: Server) -> None:
    """The newcomer's first night: init, `mode: act`, and nothing else."""
    machine = installed.machine
    found = machine.run("paramedic", "init").stdout
    assert "1 uWSGI instance(s), 2 supervisord(s)" in found, found
    assert machine.run("paramedic", "check").returncode == 0
    machine.sh("sed -i 's/^mode: observe/mode: act/' /etc/paramedic/paramedic.yaml")
    machine.run("systemctl", "restart", "paramedic")
    wait_for("a link is kept", lambda: list(machine.path("/tmp").glob(".paramedic-0/*")), 30)
    installed.begin_anyway()
    daemon, programs = installed.supervisord("main"), installed.pids("daphne")
    machine.path(SOCKET).unlink()
    told = installed.healed("restore_socket")
    assert installed.supervisord("main") == daemon
    assert installed.pids("daphne") == programs
    keep(healed_ms=round(1000 * told["actions"][-1]["seconds"]))
