"""A uWSGI ini as uWSGI 2.0 understands it: the options that paramedic needs, typed.

configparser cannot read it: keys repeat, order matters, and `%` is expanded before a line is understood.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from paramedic.host.matching import matching
from paramedic.model.stack import UwsgiConf, UwsgiEntry
from paramedic.sense.uwsgi_files import IniFiles, Option
from paramedic.sense.uwsgi_magic import Launch
from paramedic.sense.uwsgi_options import SOCKETS
from paramedic.sense.uwsgi_placeholders import expand
from paramedic.sense.uwsgi_values import Values

MOST_VASSALS = 20
MOST_SPOOLERS = 100
_WITH_CERTIFICATE = frozenset(("https", "http-to-https", "sslrouter", "https-socket", "suwsgi-socket", "ssl-socket"))


def read_uwsgi_conf(entry: UwsgiEntry, launch: Launch | None = None) -> UwsgiConf:
    """The ini of the entry with its overrides; raises OSError or ValueError when it cannot be read.

    Without a `launch` the user, environment and host are taken to be ours, and the folder that of the ini.
    """
    launch = launch or Launch()
    reader, also_read = read_options(entry.ini, launch)
    says = Values(reader.options)
    places = _Places.of(_started_in(reader.folders, says), says)
    vassal = "UWSGI_EMPEROR_FD" in launch.environ if launch.is_seen else None
    conf = UwsgiConf(
        name=entry.name,
        ini=entry.ini,
        preflight=entry.preflight,
        is_vassal=vassal,
        master=says.has_master() or (bool(vassal) and says.text("master") is None),
        files=tuple(dict.fromkeys((*reader.files, *also_read))),
        undecided=says.undecided(),
    )
    conf = _with_paths(_with_workers(_with_app(conf, says, places), says, places), says, places)
    return replace(
        conf,
        pidfile=entry.pidfile or conf.pidfile,
        stats=entry.stats or conf.stats,
        restart=entry.restart,
        boot_s=entry.boot_s,
        chain_reload=entry.chain_reload or conf.chain_reload,
    )


def read_options(ini: str, launch: Launch) -> tuple[IniFiles, list[str]]:
    """The options of an ini as uWSGI lists them with --show-config, and the files that `@()` read.

    First all files, then the placeholders, then what is inherited. Raises OSError or ValueError.
    """
    reader = IniFiles(launch, ini)
    reader.load(ini)
    owner = os.stat(reader.files[0]).st_uid
    also_read = expand(reader.options, launch.environ, lambda name: os.path.join(reader.folders[0], name), owner)
    for option in reader.options:
        if option.key == "inherit" and option.is_known:
            reader.load_late(option.value)
    return reader, also_read


def vassals_of(conf: UwsgiConf) -> tuple[str, ...]:
    """The inis in the folders, or under the patterns, that an Emperor watches; at most MOST_VASSALS."""
    patterns = [f"{place}/*.ini" if os.path.isdir(place) else place for place in conf.emperor]
    found = (name for name in matching(patterns) if name.endswith(".ini"))
    return tuple(dict.fromkeys(os.path.normpath(name) for name in found))[:MOST_VASSALS]


def emperors_ini(conf: UwsgiConf) -> str:
    """Why an Emperor's own ini is no entry of stack.uwsgi, and what is."""
    vassals = vassals_of(conf)
    there = ", ".join(vassals) if vassals else f"(none is there now: {', '.join(conf.emperor)})"
    return f"it runs an Emperor and no workers; write the inis of its vassals in stack.uwsgi instead: {there}"


@dataclass(frozen=True, slots=True)
class _Places:
    """Where relative paths start: `before` it follows its chdir= (pidfile, log, spooler), and `after`."""

    before: Callable[[str | None], str | None]
    after: Callable[[str | None], str | None]

    @classmethod
    def of(cls, start: str, says: Values) -> _Places:
        return cls(_from(start), _from(_from(start)(says.text("chdir")) or start))


def _started_in(folders: tuple[str, ...], says: Values) -> str:
    """The likeliest folder that is not merely where chdir= or chdir2= led it to."""
    led_to = {os.path.realpath(name) for option in ("chdir", "chdir2") if (name := says.text(option))}
    return next((folder for folder in folders if os.path.realpath(folder) not in led_to), folders[0])


def _from(folder: str) -> Callable[[str | None], str | None]:
    return lambda name: os.path.normpath(os.path.join(folder, name)) if name else None


def _with_app(conf: UwsgiConf, says: Values, places: _Places) -> UwsgiConf:
    module, _, function = (says.text("module") or "").partition(":")
    return replace(
        conf,
        module=module or None,
        wsgi_file=places.after(says.text("wsgi-file")),
        callable=function or says.text("callable") or "application",
        chdir=places.before(says.text("chdir")),
        home=places.after(says.text("home")),
        pythonpath=says.every("pythonpath", "python-path", "pp"),
        env=tuple((name, value) for name, _, value in (text.partition("=") for text in says.every("env"))),
        lazy_apps=says.flag("lazy-apps") or says.flag("lazy"),
        need_app=says.flag("need-app"),
    )


def _with_workers(conf: UwsgiConf, says: Values, places: _Places) -> UwsgiConf:
    folders = [folder for name in says.every("spooler") if (folder := places.before(name))]
    each = min(says.count("spooler-processes") or 1, MOST_SPOOLERS)
    return replace(
        conf,
        processes=says.count("processes", 1),
        threads=says.count("threads", 1),
        cheaper=says.count("cheaper") or None,
        mules=says.mules(),
        spoolers=tuple(folder for folder in folders for _ in range(each))[:MOST_SPOOLERS],
        harakiri_s=float(says.count("harakiri")) or None,
        mercy_s=float(says.count("worker-reload-mercy") or 60),
        max_requests=says.count("max-requests") or None,
        max_requests_delta=says.count("max-requests-delta"),
        min_worker_lifetime_s=float(says.count("min-worker-lifetime", 10)),
        die_on_term=says.flag("die-on-term"),
        no_orphans=says.flag("no-orphans"),
    )


def _with_paths(conf: UwsgiConf, says: Values, places: _Places) -> UwsgiConf:
    before, after = places.before, places.after
    pidfile = after(says.text("safe-pidfile")) or before(says.text("pidfile"))
    bound = (_address(address, after) for option in says.of(SOCKETS) for address in _bound(option))
    return replace(
        conf,
        pidfile=pidfile or after(says.text("safe-pidfile2")) or after(says.text("pidfile2")),
        safe_pidfile=not (says.text("pidfile") or says.text("pidfile2")),
        stats=_address(says.text("stats"), after),
        chain_reload=after(next(iter(reversed(says.every("touch-chain-reload"))), None)),
        touch_reload=tuple(path for name in says.every("touch-reload") if (path := after(name))),
        master_fifo=after(next(iter(says.every("master-fifo")), None)),
        vacuum=says.flag("vacuum"),
        logto=_log(says, places),
        daemonize=bool(says.text("daemonize") or says.text("daemonize2")),
        uid=says.text("uid"),
        sockets=tuple(dict.fromkeys(address for address in bound if address)),
        chmod_socket=_mode(says.text("chmod-socket")),
        emperor=tuple(path for name in says.every("emperor") if (path := before(name.removeprefix("dir://")))),
    )


def _address(value: str | None, after: Callable[[str | None], str | None]) -> str | None:
    """A TCP address wherever there is a colon, as core/master.c has it; else the path of a Unix socket."""
    text = (value or "").strip()
    return text or None if ":" in text or text.startswith("@") else after(text)


def _bound(option: Option) -> list[str]:
    """The address an option binds; none for `=0`, which shares a socket that is bound already, and inherited fds."""
    value = option.value.strip()
    if option.key == "https2":
        parts = [part.partition("=") for part in value.split(",")]
        return [address for name, _, address in parts if name == "addr"]
    if option.key in _WITH_CERTIFICATE:
        value = value.partition(",")[0]
    return [] if not value or value.startswith(("=", "fd://")) else [value]


def _log(says: Values, places: _Places) -> str | None:
    """Where it logs once it serves: each of these takes over from the one before (core/uwsgi.c, core/logging.c)."""
    late = places.after(says.text("daemonize2")) or places.before(says.text("logto2"))
    name = late or says.text("daemonize") or says.text("logto")
    return name if name and ":" in name else places.before(name)


def _mode(value: str | None) -> int | None:
    """chmod-socket: three octal digits, or `1` for everybody (core/uwsgi.c uwsgi_opt_chmod_socket)."""
    if value is None:
        return None
    return int(value, 8) if len(value) == 3 and not value.strip("01234567") else 0o666
