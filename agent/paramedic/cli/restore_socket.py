"""give a live Unix socket its path back, now, without an agent and without a configuration

For the person who finds `supervisor.sock no such file` first. It looks who still listens, proves that it is alive, and
links the socket back or, where no hard link was kept, puts a relay there that carries to it: no program restarts. The
relay lives until the server ends or makes a new socket. Servers other than supervisord get a relay only with --relay,
because peer credentials and passed descriptors do not survive it. As root; without root only kept links can be used.
"""

from __future__ import annotations

import argparse
import json
import os

from paramedic import rescue
from paramedic.host.proc import Proc


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The path, --dry-run, --relay."""
    parser.add_argument("path", metavar="PATH", help="where the socket was, e.g. /tmp/supervisor.sock")
    parser.add_argument("--dry-run", action="store_true", help="say what is found and would be done; touch nothing")
    parser.add_argument("--relay", action="store_true", help="allow a relay for a server that is not supervisord")


def main(arguments: argparse.Namespace) -> int:
    """0 when the path reaches the live server, or would; 1 when it does not; 3 when nobody can tell."""
    path = os.path.abspath(arguments.path)
    found = rescue.look(path, Proc(), arguments.relay)
    told = rescue.would(found) if arguments.dry_run else rescue.mend(found)
    did = "would do" if arguments.dry_run else "did"
    if arguments.json:
        print(json.dumps({"path": path, "found": told.found, did: told.done, "proved": told.proved, "exit": told.code}))
        return told.code
    for label, sentence in (("found", told.found), (did, told.done), ("proved", told.proved)):
        if sentence:
            print(f"{label + ':':9} {sentence}")
    return told.code
