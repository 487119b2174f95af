"""The commented configuration that `paramedic init` writes, from what was found running."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from paramedic.model.found import Found, FoundSocket, FoundSupervisor, FoundUwsgi

_PLAIN = re.compile(r"[A-Za-z0-9_./@%+=-]+")
_HEAD = """\
# The configuration of paramedic, written by `paramedic init` from what ran on {day}. It is yours to edit.
# Is it valid? paramedic check. What is wrong now, and what would be done? paramedic doctor. Every key: docs/guide.md

# observe: decide, record and say what would be done; touch nothing. When you like what `paramedic history` says
# after some days, write `act` and restart the agent.
mode: observe

# Files, folders, and the word `shipped` for the policies that come with paramedic.
# policies: [shipped, policies/]

"""
_STACK = "# What to look after. What was found stands with the process that proved it.\nstack:\n"
_NO_STACK = (
    "# Nothing to look after ran here: until something stands below, only the host's memory is watched.\n# stack:\n"
)
_NO_UWSGI = """\
#   uwsgi:
#     web:
#       ini: /srv/app/uwsgi.ini                # stats, touch-chain-reload and pidfile are read from it
"""
_NO_SUPERVISOR = """\
#   supervisor:
#     main:
#       conf: /srv/app/supervisord.conf        # socket, pidfile, user and programs are read from it
#       # unit: supervisor.service             # the systemd unit that owns it, if one does
#       # control_user: deploy                 # who must be able to use its socket, if not only its owner
"""
_NO_SOCKETS = """\
#   sockets:
#     redis: { path: /tmp/redis.sock, relay: false }
"""
_RELAY = """\
    # relay: true lets a relay stand in where no hard link of a deleted socket was kept. Peer credentials and passed
    # descriptors do not survive it, so only you can say whether the server's clients can do without them.
"""
_NOTIFY = """
# Who is told. It gets one JSON document on stdin for each event of an incident, again every `retry` until it exits 0.
# notify:
#   command: [/usr/local/bin/page-me]
#   retry: 1h
"""
TMPFILES = "/etc/tmpfiles.d/paramedic-sockets.conf"


def starter(found: Found, day: str) -> str:
    """paramedic.yaml in observe mode; what cannot be told or is not for certain a service's stands as a comment."""
    stack = found.stack
    is_empty = not (stack.uwsgi or stack.supervisor or stack.sockets)
    return "".join(
        (
            _HEAD.format(day=day),
            _NO_STACK if is_empty else _STACK,
            *_part("uwsgi", [_uwsgi(one) for one in found.uwsgi], bool(stack.uwsgi), _NO_UWSGI),
            *_part(
                "supervisor", [_supervisor(one) for one in found.supervisor], bool(stack.supervisor), _NO_SUPERVISOR
            ),
            *_part("sockets", [_socket(one) for one in found.sockets], bool(stack.sockets), _NO_SOCKETS),
            *_seen(found),
            _NOTIFY,
            *_spared(found),
        )
    )


def exclusion(found: Found) -> tuple[str, ...]:
    """The lines of tmpfiles.d(5) that keep systemd-tmpfiles from the guarded sockets that no line excludes yet."""
    paths = [one.entry.path for one in found.sockets if one.is_service and not one.is_spared]
    paths += [one.socket for one in found.supervisor if one.socket and one.is_exposed]
    return tuple(f"x {path}" for path in paths if _PLAIN.fullmatch(path) and "%" not in path)


def command_of(lines: Iterable[str]) -> str:
    """The shell command that installs them."""
    return f"printf '%s\\n' {' '.join(repr(line) for line in lines)} >> {TMPFILES}"


def _part(name: str, entries: list[str], is_live: bool, example: str) -> list[str]:
    """One part of the stack; YAML must see a key only where it has a value."""
    text = "".join(entries)
    if is_live:
        return [f"  {name}:\n", _RELAY if name == "sockets" else "", text]
    return [example, _commented(text)]


def _commented(text: str) -> str:
    lines = (line.removeprefix("    # ").strip() for line in text.splitlines())
    return "".join(f"  #   {line}\n" for line in lines)


def _uwsgi(one: FoundUwsgi) -> str:
    wants = "".join(f"    # the ini lacks {_comment(lack)}\n" for lack in one.lacks)
    entry = f"    {one.entry.name}: {{ ini: {_text(one.entry.ini)} }}\n"
    return f"    # {_comment(str(one.runs))}\n{wants}{_refused(one.problem, entry)}"


def _supervisor(one: FoundSupervisor) -> str:
    name, unit = one.entry.name, one.entry.unit
    keys = [f"conf: {_text(one.entry.conf)}", *([f"unit: {_text(unit)}"] if unit else [])]
    entry = f"    {name}:\n" + "".join(f"      {key}\n" for key in keys)
    users = f"who must be able to use its socket; now: {_comment(one.users)}"
    hint = f"      # control_user: NAME    # {users}\n" if one.users else ""
    where = f"    # its socket: {_comment(one.socket)}\n" if one.socket else "    # it has no [unix_http_server] file\n"
    return f"    # {_comment(f'{one.runs}; conf by {one.named}')}\n{where}{_refused(one.problem, entry + hint)}"


def _socket(one: FoundSocket) -> str:
    spared = ", excluded in tmpfiles.d" if one.is_spared else ""
    lost = f"; {one.lost} now: paramedic restore-socket {one.entry.path}" if one.lost else ""
    entry = f"    {one.entry.name}: {{ path: {_text(one.entry.path)}, relay: false }}\n"
    doubt = "" if one.is_service else "neither the stack's nor a unit's: guard it if its server is to stay"
    about = _comment(f"{one.server}; its folder: {one.cleaner}{spared}{lost}")
    return f"    # {about}\n{_refused(doubt, entry)}"


def _refused(problem: str, entry: str) -> str:
    """An entry that cannot be used as it is stands as a comment, with the reason."""
    if not problem:
        return entry
    return f"    # {_comment(problem)}\n" + "".join(f"    #   {line.strip()}\n" for line in entry.splitlines())


def _seen(found: Found) -> list[str]:
    told = [*found.seen, *(f"{subject}: {why}" for subject, why in found.untold)]
    lines = [f"#   {_comment(line)}\n" for line in told]
    return ["\n# Also seen, and nothing to write above:\n", *lines] if lines else []


def _spared(found: Found) -> list[str]:
    lines = exclusion(found)
    if not lines:
        return []
    return ["\n# systemd-tmpfiles leaves these sockets alone once this was run:\n", f"#   {command_of(lines)}\n"]


def _text(value: str) -> str:
    return value if _PLAIN.fullmatch(value) and not value.startswith(("%", "@", "=", "-")) else json.dumps(value)


def _comment(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
