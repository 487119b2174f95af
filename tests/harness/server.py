"""A newcomer's Django server inside a machine: a deployed app, uWSGI as a unit, two supervisords, and paramedic."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from harness.machine import Machine
from harness.stack import SITE
from harness.waiting import wait_for

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv" / "bin"
WHEELS = ROOT / "build" / "wheels"
BUILT = BIN.parent / "uwsgi-2.0.31" / "bin" / "uwsgi"
SHOP = "/home/deploy/shop"
SOCKET, DISTRO_SOCKET = "/tmp/supervisor.sock", "/run/supervisor.sock"
BY_HAND = ("systemd-run", "--quiet", "--scope", "setpriv", "--reuid=deploy", "--regid=deploy", "--init-groups")
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS), "GIT_CONFIG_COUNT": "1"}
OFFLINE |= {"GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
INI = """[uwsgi]
master = true
processes = 2
lazy-apps = true
need-app = true
chdir = %dsite
module = shop:application
http-socket = 127.0.0.1:8000
stats = %dstats.sock
touch-chain-reload = %dreload
worker-reload-mercy = 8
die-on-term = true
disable-logging = true
"""
UWSGI_UNIT = f"""[Unit]
Description=the shop
[Service]
User=deploy
WorkingDirectory={SHOP}
ExecStart={BIN}/uwsgi --ini {SHOP}/uwsgi.ini
[Install]
WantedBy=multi-user.target
"""
PROGRAM = """[program:{name}]
command={bin}/daphne -b 127.0.0.1 -p {port} shop_asgi:application
directory={shop}/site
startsecs=1
stdout_logfile={shop}/{name}.log
redirect_stderr=true
user={user}
"""
CONF = f"""[unix_http_server]
file={SOCKET}
[supervisord]
logfile=%(here)s/supervisord.log
pidfile=/tmp/supervisord.pid
childlogdir=%(here)s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{SOCKET}
"""
CONFIG = f"""mode: act
interval: 1s
policies: [shipped, policies/]
stack:
  uwsgi:
    web: {{ ini: {SHOP}/uwsgi.ini }}
  supervisor:
    main: {{ conf: {SHOP}/supervisord.conf }}
    distro: {{ conf: /etc/supervisor/supervisord.conf, control_user: deploy }}
notify: {{ command: [/usr/local/bin/page-me], retry: 2s }}
"""
PAGER = "#!/bin/sh\n{ cat; echo; } >>/var/log/pages\n"


class Server:
    """`install` is what the README tells a newcomer; `deploy` the stack that was there before."""

    def __init__(self) -> None:
        self.machine = Machine(ROOT)
        self.newest = ""
        self.outputs: list[subprocess.CompletedProcess[str]] = []

    def deploy(self) -> None:
        """A user with an app, served by a unit, by the distribution's Supervisor, and by one started by hand."""
        machine = self.machine
        machine.run("useradd", "--create-home", "--shell", "/bin/sh", "deploy")
        shop = machine.path(SHOP)
        shutil.copytree(SITE, shop / "site", ignore=shutil.ignore_patterns("__pycache__"))
        machine.write(f"{SHOP}/uwsgi.ini", INI)
        machine.write(f"{SHOP}/reload", "")
        os.utime(shop / "reload", (1_700_000_000, 1_700_000_000))
        fill = {"bin": BIN, "shop": SHOP, "user": "deploy"}
        machine.write(f"{SHOP}/supervisord.conf", CONF + PROGRAM.format(name="main", port=8001, **fill))
        machine.write("/etc/supervisor/conf.d/distro.conf", PROGRAM.format(name="distro", port=8002, **fill))
        conf = machine.path("/etc/supervisor/supervisord.conf")
        conf.write_text(conf.read_text().replace("chmod=0700 ", "chmod=0770\nchown=root:deploy "))
        machine.write("/etc/systemd/system/shop.service", UWSGI_UNIT)
        machine.write("/usr/local/bin/page-me", PAGER, 0o755)
        machine.run("chown", "-R", "deploy:deploy", SHOP)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "enable", "--now", "shop")
        machine.run("systemctl", "restart", "supervisor")
        self.start_supervisord()

    def start_supervisord(self) -> None:
        """By hand, as the user who deploys, from a login shell."""
        self.machine.run(*BY_HAND, BIN / "supervisord", "-c", f"{SHOP}/supervisord.conf")
        wait_for("the programs run", lambda: "RUNNING" in self.ctl("main") and "RUNNING" in self.ctl("distro"), 30)

    def install(self) -> list[subprocess.CompletedProcess[str]]:
        """The README's commands, word for word but for the address; what is not committed yet is cloned, too."""
        done = []
        for line in readme_commands():
            done.append(self.machine.run("/bin/sh", "-c", line, env=OFFLINE, timeout=180))
            for name in self._uncommitted() if "git clone" in line else ():
                copy = self.machine.path(f"/root/paramedic/{name}")
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy)
        return done

    def _uncommitted(self) -> list[str]:
        argv = ["git", "-c", "safe.directory=*", "ls-files", "--modified", "--others", "--exclude-standard"]
        names = subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
        ).stdout.splitlines()
        return [name for name in names if (ROOT / name).is_file()]

    def configure(self, text: str = CONFIG) -> None:
        """What a person writes into the configuration, and the restart that takes it over."""
        self.machine.write("/etc/paramedic/paramedic.yaml", text)
        self.machine.path("/etc/paramedic/policies").mkdir(exist_ok=True)
        self.machine.run("systemctl", "restart", "paramedic")

    def policy(self, text: str) -> None:
        """A policy of one's own, beside the shipped ones, in force at once."""
        self.machine.write("/etc/paramedic/policies/mine.yaml", f"policies:\n{text}")
        self.machine.run("systemctl", "reload", "paramedic")

    def ctl(self, name: str, *words: str) -> str:
        """supervisorctl of one of the two daemons."""
        conf = {"main": f"{SHOP}/supervisord.conf", "distro": "/etc/supervisor/supervisord.conf"}[name]
        found = self.machine.run(BIN / "supervisorctl", "-c", conf, *(words or ("status",)), check=False)
        return found.stdout + found.stderr

    def leak(self) -> None:
        """Four hundred MiB that the app keeps for ever."""
        self.machine.sh("for i in 1 2 3 4 5 6 7 8 9 10; do curl -sf -m 20 http://127.0.0.1:8000/leak/40; done")

    def pids(self, pattern: str) -> list[int]:
        """Processes of the machine, by their own pids there, whose command line fits."""
        found = self.machine.run("pgrep", "-f", pattern, check=False).stdout.split()
        return sorted(int(pid) for pid in found)

    def http_status(self) -> int:
        """What the shop answers; 0 where nobody does."""
        argv = ("curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8000/")
        return int(self.machine.run(*argv, check=False).stdout)

    def supervisord(self, name: str) -> int:
        """The pid of a daemon, from itself."""
        return int(self.ctl(name, "pid"))

    def agent(self) -> int:
        """The pid that systemd has for paramedic."""
        return int(self.shown("paramedic", "MainPID"))

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return str(self.machine.run("systemctl", "show", f"--property={name}", "--value", unit).stdout.strip())

    def history(self) -> list[dict[str, Any]]:
        """`paramedic history --json`."""
        return list(json.loads(self.machine.run("paramedic", "history", "--json").stdout))

    def status(self) -> dict[str, Any]:
        """`paramedic status --json`; empty where no agent answers."""
        with contextlib.suppress(ValueError):
            found: dict[str, Any] = json.loads(self.machine.run("paramedic", "status", "--json", check=False).stdout)
            return found
        return {}

    def begin(self) -> None:
        """From now on only new incidents count; nothing may be open."""
        wait_for("nothing is open", lambda: self.status().get("incidents") == [], 90)
        self.begin_anyway()

    def begin_anyway(self) -> None:
        """From now on only new incidents count."""
        self.newest = max((incident["id"] for incident in self.history()), default="")

    def healed(self, action: str, deadline_s: float = 60.0, result: str = "healed") -> dict[str, Any]:
        """The new incident in which this action was met, once it has this result; any where that is empty."""

        def look() -> dict[str, Any] | None:
            for incident in self.history():
                met = any((one["action"], one["outcome"]) == (action, "met") for one in incident["actions"])
                if incident["id"] > self.newest and met and result in ("", incident["result"]):
                    return incident
            return None

        try:
            return wait_for(f"{action} was met", look, deadline_s) or {}
        except AssertionError as late:
            log = self.machine.sh("journalctl -u paramedic -n 60 --no-pager", check=False)
            raise AssertionError(f"{late}\n{json.dumps(self.history()[-3:], indent=1)}\n{log}") from late

    def cgroup(self, unit: str) -> list[int]:
        """The processes in a unit's cgroup."""
        shown = self.machine.sh(f"grep -lE '/{unit}.service$' /proc/[0-9]*/cgroup", check=False)
        return sorted(int(line.split("/")[2]) for line in shown.splitlines())

    def confinement(self, pid: int) -> str:
        """What keeps a process from doing what pid 1 may do: filters, privileges, mounts, the right to memory."""
        lines = f"grep -E 'NoNewPrivs|Seccomp_filters|CapBnd' /proc/{pid}/status; readlink /proc/{pid}/ns/mnt"
        return self.machine.sh(f"{lines}; cat /proc/{pid}/oom_score_adj")

    def close(self) -> None:
        """End the machine."""
        self.machine.close()


def readme_commands() -> list[str]:
    """The newcomer's commands, as root, from the README's chapter on the installation."""
    chapter = (ROOT / "README.md").read_text().partition("## Install")[2].partition("\n## ")[0]
    block = chapter.partition("```console\n")[2].partition("```")[0]
    lines = [line.removeprefix("# ").partition("   #")[0].strip() for line in block.splitlines()]
    return [f"cd /root && {line.replace('URL', str(ROOT))}" for line in lines if line]
