"""Known as JSON and back. Identities of another boot mean nothing: the reader compares `boot_id`."""

from __future__ import annotations

import json
from typing import Any

from paramedic.model.facts import Known, Preflight, SocketKnown, SupervisorKnown, UwsgiKnown
from paramedic.model.readings import FolderReading, Identity
from paramedic.model.supervision import ChildRecord


def known_to_json(known: Known) -> str:
    """The document kept in the journal."""
    document = {
        "boot_id": known.boot_id,
        "supervisors": {name: _supervisor(one) for name, one in known.supervisors.items()},
        "baselines": [[*_pair(worker), size] for worker, size in known.baselines.items()],
        "preflights": {name: [p.result, p.detail, p.wall] for name, p in known.preflights.items()},
        "sockets": {name: _socket(one) for name, one in known.sockets.items()},
        "uwsgis": {n: [_pair(one.master), [_pair(w) for w in one.workers]] for n, one in known.uwsgis.items()},
    }
    return json.dumps(document, sort_keys=True)


def known_from_json(text: str) -> Known:
    """The Known of a document; an empty one where the document is damaged."""
    try:
        document = json.loads(text)
        return Known(
            boot_id=str(document["boot_id"]),
            supervisors={name: _supervisor_from(one) for name, one in document["supervisors"].items()},
            baselines={Identity(pid, start): size for pid, start, size in document["baselines"]},
            preflights={name: Preflight(*one) for name, one in document["preflights"].items()},
            sockets={name: _socket_from(one) for name, one in document.get("sockets", {}).items()},
            uwsgis={name: _uwsgi_from(*one) for name, one in document.get("uwsgis", {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Known()


def _pair(identity: Identity) -> list[int]:
    return [identity.pid, identity.start_ticks]


def _supervisor(one: SupervisorKnown) -> dict[str, Any]:
    return {
        "daemon": _pair(one.daemon) if one.daemon else None,
        "children": [_child(child) for child in one.children],
        "strays": [_child(child) for child in one.strays],
        "stopped": list(one.stopped),
        "was_leaving": one.was_leaving,
        "ports": [[name, list(ports)] for name, ports in one.ports],
        "folder": _folder(one.folder),
    }


def _folder(one: FolderReading | None) -> list[int] | None:
    return [one.uid, one.gid, one.mode] if one else None


def _socket(one: SocketKnown) -> list[Any]:
    return [_pair(one.owner), one.socket_inode, one.inode, one.uid, one.gid, one.mode, _folder(one.folder)]


def _socket_from(one: list[Any]) -> SocketKnown:
    owner, socket_inode, inode, uid, gid, mode, folder = one
    kept = FolderReading(*folder) if folder else None
    return SocketKnown(Identity(*owner), socket_inode, inode, uid, gid, mode, kept)


def _uwsgi_from(master: list[int], workers: list[list[int]]) -> UwsgiKnown:
    return UwsgiKnown(Identity(*master), tuple(Identity(*worker) for worker in workers))


def _child(child: ChildRecord) -> list[Any]:
    return [
        child.program,
        _pair(child.identity),
        child.pgid,
        _pair(child.master) if child.master else None,
        child.socket,
    ]


def _supervisor_from(one: dict[str, Any]) -> SupervisorKnown:
    return SupervisorKnown(
        daemon=Identity(*one["daemon"]) if one["daemon"] else None,
        children=tuple(_child_from(child) for child in one["children"]),
        strays=tuple(_child_from(child) for child in one["strays"]),
        stopped=tuple(one.get("stopped", ())),
        was_leaving=bool(one.get("was_leaving", False)),
        ports=tuple((name, tuple(ports)) for name, ports in one.get("ports", ())),
        folder=FolderReading(*folder) if (folder := one.get("folder")) else None,
    )


def _child_from(child: list[Any]) -> ChildRecord:
    program, identity, pgid, master, *more = child
    return ChildRecord(program, Identity(*identity), pgid, Identity(*master) if master else None, *more)
