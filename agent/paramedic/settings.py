"""paramedic.yaml -> Settings, or all of its errors as `file:line:col: cannot ...`."""

from __future__ import annotations

import os
from pathlib import Path

from paramedic import expect
from paramedic.document import MAX_BYTES, DocumentError, Item, Place, parse
from paramedic.host.texts import PASSING, read_text
from paramedic.host.writers import writable_by_others
from paramedic.model.stack import Mode, NotifyConf, Settings, SocketEntry, Stack, SupervisorEntry, UwsgiEntry

DEFAULT_PATH = "/etc/paramedic/paramedic.yaml"
SHIPPED = "shipped"
_TOP = ("mode", "interval", "state_dir", "runtime_dir", "policies", "stack", "notify")
_UWSGI = ("ini", "pidfile", "stats", "chain_reload", "preflight", "restart", "boot")
RESTARTS = ("unless-stopped", "always")
_SUPERVISOR = ("conf", "unit", "command", "user", "directory", "environment", "restart", "control_user")
_SOCKET = ("path", "relay")


class SettingsError(ValueError):
    """The configuration cannot be used; `errors` holds one sentence per fault."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def load(path: str) -> Settings:
    """The settings in the file at `path`; raises SettingsError with every fault of the file,
    OSError where the host has no means to read it now.
    """
    file = Path(path).absolute()
    try:
        document = parse(read_text(str(file), MAX_BYTES), str(file))
        _prove_trusted(str(file))
    except DocumentError as error:
        raise SettingsError([str(error)]) from error
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in PASSING:
            raise
        why = getattr(error, "strerror", None) or error
        raise SettingsError([f"{file}:1:1: cannot read it: {why}"]) from error
    reader = _Reader(file.parent)
    settings = reader.settings(document, str(file))
    if reader.errors:
        raise SettingsError(sorted(reader.errors, key=_position))
    return settings


def _prove_trusted(file: str) -> None:
    """What it names is run with our rights; raises SettingsError where others could write there what they like."""
    other = writable_by_others(file, {os.geteuid()})
    if other is not None:
        raise SettingsError([f"{file}:1:1: cannot trust it: {not_ours(other)}"])


def not_ours(path: str) -> str:
    """Why a file of ours is refused, and what to do."""
    who = "root" if os.geteuid() == 0 else f"root and user {os.geteuid()}"
    return f"others than {who} can change {path}; take that from them (chown, chmod go-w)"


def sets_nothing(path: str) -> bool:
    """Whether a file says no more than `mode: observe`; raises OSError, ValueError or DocumentError."""
    said = parse(read_text(path, MAX_BYTES), path).value
    keys = said if isinstance(said, dict) else {}
    return (said is None or set(keys) == {"mode"}) and all(item.value == Mode.OBSERVE for item in keys.values())


def _position(error: str) -> tuple[int, int]:
    _, line, col, _ = error.split(":", 3)
    return int(line), int(col)


def default_dirs() -> tuple[str, str]:
    """(state_dir, runtime_dir) when the file names none: the system's for root, the user's own otherwise."""
    if os.geteuid() == 0:
        return "/var/lib/paramedic", "/run/paramedic"
    home = Path.home()
    state = os.environ.get("XDG_STATE_HOME") or str(home / ".local/state")
    runtime = os.environ.get("XDG_RUNTIME_DIR") or state
    return f"{state}/paramedic", f"{runtime}/paramedic"


class _Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors: expect.Errors = []

    def settings(self, document: Item, path: str) -> Settings:
        top = expect.mapping(document, _TOP, "the configuration", self.errors)
        state_dir, runtime_dir = default_dirs()
        return Settings(
            path=path,
            mode=Mode(self._choice(top.get("mode"), tuple(Mode), "mode", "act")),
            interval_s=self._interval(top.get("interval")),
            state_dir=self._path(top.get("state_dir"), "state_dir") or state_dir,
            runtime_dir=self._path(top.get("runtime_dir"), "runtime_dir") or runtime_dir,
            policies=self._policies(top.get("policies")),
            stack=self._stack(top.get("stack")),
            notify=self._notify(top.get("notify")),
        )

    def _choice(self, item: Item | None, options: tuple[str, ...], what: str, default: str) -> str:
        found = expect.choice(item, options, what, self.errors) if item else default
        return found or default

    def _interval(self, item: Item | None) -> float:
        seconds = expect.duration(item, "interval", self.errors) if item else 5.0
        if item and seconds is not None and not 0.2 <= seconds <= 300:
            self.errors.append(item.place.says("cannot use this interval: it is between 200ms and 5m"))
        return seconds or 5.0

    def _path(self, item: Item | None, what: str) -> str | None:
        found = expect.text(item, what, self.errors) if item else None
        return os.path.normpath(self.folder / found) if found else None

    def _policies(self, item: Item | None) -> tuple[str, ...]:
        if item is None:
            return (SHIPPED,)
        names = [
            expect.text(entry, "a policy file", self.errors) for entry in expect.items(item, "policies", self.errors)
        ]
        return tuple(n if n == SHIPPED else os.path.normpath(self.folder / n) for n in names if n)

    def _stack(self, item: Item | None) -> Stack:
        parts = expect.mapping(item, ("uwsgi", "supervisor", "sockets"), "stack", self.errors) if item else {}
        uwsgi = expect.entries(parts.get("uwsgi"), "stack.uwsgi", self.errors)
        supervisor = expect.entries(parts.get("supervisor"), "stack.supervisor", self.errors)
        sockets = expect.entries(parts.get("sockets"), "stack.sockets", self.errors)
        return Stack(
            uwsgi=tuple(filter(None, (self._uwsgi(name, entry) for name, entry in uwsgi.items()))),
            supervisor=tuple(filter(None, (self._supervisor(name, entry) for name, entry in supervisor.items()))),
            sockets=tuple(filter(None, (self._socket(name, entry) for name, entry in sockets.items()))),
        )

    def _socket(self, name: str, item: Item) -> SocketEntry | None:
        keys = expect.mapping(item, _SOCKET, f"stack.sockets.{name}", self.errors)
        path = self._required(keys, "path", item.place, f"stack.sockets.{name}")
        relay = self._choice(keys.get("relay"), ("true", "false"), "relay", "false")
        return SocketEntry(name, path, relay == "true") if path else None

    def _uwsgi(self, name: str, item: Item) -> UwsgiEntry | None:
        keys = expect.mapping(item, _UWSGI, f"stack.uwsgi.{name}", self.errors)
        ini = self._required(keys, "ini", item.place, f"stack.uwsgi.{name}")
        stats = expect.text(keys["stats"], "stats", self.errors) if "stats" in keys else None
        return (
            ini
            and UwsgiEntry(
                name=name,
                ini=ini,
                pidfile=self._path(keys.get("pidfile"), "pidfile"),
                stats=stats,
                chain_reload=self._path(keys.get("chain_reload"), "chain_reload"),
                preflight=expect.argv(keys["preflight"], "preflight", self.errors) if "preflight" in keys else None,
                restart=self._choice(keys.get("restart"), RESTARTS, "restart", "unless-stopped"),
                boot_s=expect.duration(keys["boot"], "boot", self.errors) or 0.0 if "boot" in keys else 60.0,
            )
        ) or None

    def _supervisor(self, name: str, item: Item) -> SupervisorEntry | None:
        keys = expect.mapping(item, _SUPERVISOR, f"stack.supervisor.{name}", self.errors)
        conf = self._required(keys, "conf", item.place, f"stack.supervisor.{name}")
        environment = expect.texts(keys["environment"], "environment", self.errors) if "environment" in keys else {}
        return (
            conf
            and SupervisorEntry(
                name=name,
                conf=conf,
                unit=expect.text(keys["unit"], "unit", self.errors) if "unit" in keys else None,
                command=expect.argv(keys["command"], "command", self.errors) if "command" in keys else None,
                user=expect.text(keys["user"], "user", self.errors) if "user" in keys else None,
                directory=self._path(keys.get("directory"), "directory"),
                environment=tuple(environment.items()),
                restart=self._choice(keys.get("restart"), RESTARTS, "restart", "unless-stopped"),
                control_user=expect.text(keys["control_user"], "control_user", self.errors)
                if "control_user" in keys
                else None,
            )
        ) or None

    def _required(self, keys: dict[str, Item], key: str, place: Place, what: str) -> str | None:
        if key not in keys:
            self.errors.append(place.says(f'cannot use {what}: "{key}" is missing; write {key}: PATH'))
            return None
        return self._path(keys[key], key)

    def _notify(self, item: Item | None) -> NotifyConf:
        keys = expect.mapping(item, ("command", "retry"), "notify", self.errors) if item else {}
        command = expect.argv(keys["command"], "notify.command", self.errors) if "command" in keys else None
        retry = expect.duration(keys["retry"], "notify.retry", self.errors) if "retry" in keys else None
        return NotifyConf(command or (), retry or 3600.0)
