"""Real examples to begin with: what the product ships, what this host's /proc says now, what real servers answer."""

from __future__ import annotations

import json
import os
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paramedic.journal.known import known_to_json
from paramedic.journal.readings import facts_from_json
from paramedic.journal.samples import Block
from paramedic.model.facts import Known, Preflight, SupervisorKnown, UwsgiKnown
from paramedic.model.readings import FolderReading, Identity
from paramedic.model.supervision import ChildRecord

TOP = Path(__file__).parent.parent.parent
ME = Identity(os.getpid(), 1)

CONFIGURATIONS = [
    b"""mode: act
interval: 5s
state_dir: /var/lib/paramedic
runtime_dir: /run/paramedic
policies: [shipped, policies/]
stack:
  uwsgi:
    web:
      ini: /srv/app/uwsgi.ini
      stats: /run/web.stats
      chain_reload: /srv/app/reload
      preflight: [/bin/true, -c, "x y"]
      boot: 60s
      restart: always
  supervisor:
    main:
      conf: /srv/app/supervisord.conf
      unit: supervisor.service
      command: [/srv/app/venv/bin/supervisord, -c, /srv/app/supervisord.conf]
      user: deploy
      directory: /srv
      environment: {PATH: /usr/bin, A: "1"}
      restart: unless-stopped
      control_user: deploy
  sockets:
    redis: { path: /tmp/redis.sock, relay: true }
notify:
  command: [/usr/local/bin/page-me]
  retry: 1h
""",
    b"mode: observe\nstack: {uwsgi: {web: {ini: a.ini}}}\n",
]

INIS = [
    b"""[uwsgi]
master = true
processes = 4
threads = %(processes)
chdir = %dsite
module = shop:application
http-socket = 127.0.0.1:8000
stats = /tmp/%n.stats
touch-chain-reload = %dreload
pidfile = /tmp/uwsgi-$(USER).pid
set = base=/srv/%n
set-placeholder = one=1
declare-option = mine=stats=$1;processes=2
mine = x
logto = %(base)/log
env = A=b
spooler = spool
mules = 2
cheaper = 1
cheaper-algo = busyness
https = :443,a.crt,a.key
ini = :more
for = a b c
attach-daemon = %(_)
endfor =
if-exists = /etc/hosts
socket = %(_)
endif =
inherit = other.ini
[more]
harakiri = 30
worker-reload-mercy = @(mercy)
""",
    b"[uwsgi]\nemperor = /etc/uwsgi/*.ini\nsocket = :0\nchmod-socket = 660\nplugins = python3\nmaster-fifo = /run/f\n",
]

CONFS = [
    b"""[unix_http_server]
file=%(here)s/supervisor.sock   ; the path
chmod=0770
chown=deploy:www-data
username=a
password=b%%c
[supervisord]
logfile=/var/log/supervisord.log
pidfile=%(here)s/supervisord.pid
identifier=shop
user=deploy
nodaemon=true
environment=A="b",C=%(ENV_HOME)s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:daphne]
command=daphne -b 127.0.0.1 -p 80%(process_num)02d shop_asgi:application
process_name=%(program_name)s_%(process_num)d
numprocs=2
directory=%(here)s/site
environment=PATH="/a:/b",COLOR="green"
startsecs=1
stopwaitsecs=10
[group:all]
programs=daphne
[include]
files = conf.d/*.conf more.conf
""",
    b"[supervisord]\n[unix_http_server]\nfile=/tmp/supervisor.sock\n[eventlistener:x]\ncommand=x\nevents=TICK_5\n",
]


def worker(number: int) -> dict[str, Any]:
    """One worker as uWSGI 2.0.31 writes it (core/master_utils.c)."""
    names = ("requests", "delta_requests", "exceptions", "harakiri_count", "signals", "signal_queue")
    sizes = dict.fromkeys(("rss", "vsz", "running_time", "tx", "avg_rt"), 123456)
    app = {"id": 0, "modifier1": 0, "mountpoint": "", "startup_time": 2, "requests": 5, "exceptions": 0, "chdir": ""}
    core = {
        "id": 0,
        "requests": 5,
        "static_requests": 0,
        "routed_requests": 0,
        "in_request": 0,
        "vars": [],
        "req_info": {},
    }
    counts = {**dict.fromkeys(names, 7), **sizes, "last_spawn": 1700000000, "respawn_count": 1}
    rest = {"accepting": 1, "status": "idle", "apps": [app], "cores": [core]}
    return {"id": number, "pid": os.getpid() if number == 1 else 1, **counts, **rest}


STATS = [
    json.dumps(
        {
            "version": "2.0.31",
            "listen_queue": 0,
            "listen_queue_errors": 0,
            "signal_queue": 0,
            "load": 0,
            "pid": os.getpid(),
            "uid": 0,
            "gid": 0,
            "cwd": "/srv",
            "locks": [{"user 0": 0}],
            "sockets": [{}],
            "workers": [worker(n) for n in (1, 2, 3)],
        },
        indent=1,
    ).encode()
]


def program(name: str, state: str) -> dict[str, Any]:
    """One row of getAllProcessInfo (supervisor/rpcinterface.py)."""
    times = {"start": 1700000000, "stop": 0, "now": 1700000100, "state": 20, "exitstatus": 0}
    logs = {"logfile": "/l", "stdout_logfile": "/srv/o.log", "stderr_logfile": "", "spawnerr": "can't find command 'x'"}
    return {
        "name": name,
        "group": "all",
        "description": "pid 1",
        "statename": state,
        "pid": os.getpid(),
        **times,
        **logs,
    }


VALUES: list[Any] = [
    [
        {"statecode": 1, "statename": "RUNNING"},
        os.getpid(),
        "shop",
        [program("daphne", "RUNNING"), program("x", "FATAL")],
    ],
    [{"faultCode": 6, "faultString": "SHUTDOWN_STATE"}] * 4,
]
ANSWERS = [xmlrpc.client.dumps((value,), methodresponse=True).encode() for value in VALUES]
ANSWERS.append(xmlrpc.client.dumps(xmlrpc.client.Fault(1, "UNKNOWN_METHOD")).encode())
PAGES = [
    b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\nServer: Medusa/1.12\r\n\r\n%s" % (len(a), a)
    for a in ANSWERS
]

PROC = ("stat", "status", "smaps_rollup", "cmdline", "environ", "statm", "cgroup", "wchan")
HOST = ("meminfo", "vmstat", "zoneinfo", "pressure/memory", "self/net/tcp", "self/net/tcp6", "self/mountinfo", "stat")


def proc(names: tuple[str, ...], folder: str) -> Mapping[str, bytes]:
    """What this kernel says now."""
    found = {}
    for name in names:
        try:
            found[name] = (Path(folder) / name).read_bytes()[:20_000]
        except OSError:
            found[name] = b"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00\n"
    return found


ORDERS = [
    b'{"pause": {"why": "x", "since": 1.0, "until": 9e9, "until_monotonic": 9e9, "boot": "b"}, "acknowledged": {}}',
    b'{"acknowledged": {}}',
]
RECIPES = [
    b'{"argv": ["/bin/true", "-c", "x"], "cwd": "/", "uid": 1, "gid": 1, "groups": [1], "env": {"A": "b"}, '
    b'"umask": 18, "limits": {"RLIMIT_NOFILE": [1, 2]}, "unit": null, "digest": null, "output": null, '
    b'"keeper": "", "process": ""}'
]
RELAYS = [b'{"process": [1, 2], "inode": 3, "serves": [4, 5], "live_inode": 6}']
KNOWN = [
    known_to_json(
        Known(
            "boot",
            {
                "main": SupervisorKnown(
                    daemon=ME, children=(ChildRecord("web", ME, 1, ME),), folder=FolderReading(0, 0, 0o755)
                )
            },
            {ME: 5},
            {"web": Preflight("loads", "", 1.0)},
            uwsgis={"web": UwsgiKnown(ME, (ME,))},
        )
    ).encode()
]
FIELDS: dict[str, Any] = {
    "diagnosis": "ok",
    "rss": 5,
    "uss": {"unknown": "why"},
    "~id": [1, 2],
    "~finding": ["ok", "x"],
}
SAMPLES = [
    json.dumps(
        {"wall": 1.7e9, "monotonic": 5.0, "subjects": {"host": {"memory.total": 5}, "uwsgi:web": FIELDS}}
    ).encode()
]


def blocks(documents: list[bytes]) -> list[bytes]:
    """Recorded minutes, unpacked: what is mutated is the text within."""
    import zlib

    found = []
    for document in documents:
        block = Block("boot")
        for _ in range(3):
            block.add(facts_from_json(json.loads(document)))
        found.append(zlib.decompress(block.packed()))
    return found
