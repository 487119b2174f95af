"""nginx before uWSGI, as most sites run it, from one configuration in the stack's folder; and which uWSGI it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from harness.stack import BIN, EmbeddedStack, free_port
from harness.waiting import wait_for

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
BUILT = BIN.parent / "uwsgi-2.0.31" / "bin" / "uwsgi"
UWSGIS = {"wheel": BIN / "uwsgi", "source": BUILT}
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
PARAMS = {
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "REQUEST_URI": "$request_uri",
    "PATH_INFO": "$document_uri",
    "SERVER_PROTOCOL": "$server_protocol",
    "REMOTE_ADDR": "$remote_addr",
    "SERVER_PORT": "$server_port",
    "SERVER_NAME": "$server_name",
}


def lacking(uwsgi: Path) -> str | None:
    """What this machine lacks for these tests, with the packages that have it."""
    if NGINX is None:
        return "no nginx (on Debian: apt install nginx)"
    if not uwsgi.exists():
        return (
            f"{uwsgi} was not built: it needs a C compiler and Python's headers (apt install gcc libc6-dev python3-dev)"
        )
    return None


class Front:
    """nginx on a port of its own, passing everything to `socket` of the stack's uWSGI, client connections kept."""

    def __init__(self, stack: EmbeddedStack, socket: Path) -> None:
        self._stack = stack
        self.port = free_port()
        self.conf = stack.folder / "etc" / "nginx.conf"
        self.conf.write_text(self._text(stack.folder, socket))

    def _text(self, folder: Path, socket: Path) -> str:
        temporary = "".join(
            f"  {kind}_temp_path {folder}/tmp/nginx-{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        params = "".join(f"      uwsgi_param {name} {value};\n" for name, value in PARAMS.items())
        return f"""daemon off;
worker_processes 1;
pid {folder}/tmp/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
{temporary}  keepalive_requests 1000000;
  # uWSGI closes a connection that reaches a worker in the very microseconds in which it is told to leave. The same
  # server twice lets nginx ask once more, by its default uwsgi_next_upstream; max_fails=0 keeps both in use.
  upstream app {{ server unix:{socket} max_fails=0; server unix:{socket} max_fails=0; }}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{
{params}      uwsgi_pass app;
    }}
  }}
}}
"""

    def start(self) -> None:
        """Start it as the stack's owner and wait for an answer."""
        argv = [NGINX, "-e", "stderr", "-p", self._stack.folder, "-c", self.conf]
        self._child = self._stack.spawn(argv, self._stack.owner, "nginx.log")
        wait_for("nginx answers", lambda: self._stack.status(self.port) == 200 or self._child.poll() is not None)
        if self._child.poll() is not None:
            raise AssertionError((self._stack.folder / "nginx.log").read_text())

    def complaints(self) -> str:
        """Its error log."""
        path = self._stack.folder / "nginx-error.log"
        return path.read_text() if path.exists() else ""

    def stop(self) -> None:
        """End it: it overwrites its environment, so the stack's mark does not find it."""
        self._stack.stop(self._child)


def version_of(uwsgi: Path) -> str:
    """What `uwsgi --version` says."""
    return subprocess.run([uwsgi, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout.strip()
