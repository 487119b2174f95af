"""uWSGI's ini: repeated keys, `%` magic variables, `$(ENV)`, `%(key)` and includes (core/config.c, core/ini.c).

configparser cannot read it: keys repeat, and order matters.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from paramedic.model.stack import UwsgiConf, UwsgiEntry

MAX_INCLUDES = 16
MAX_BYTES = 1 << 20
_INCLUDES = ("ini", "include")
Options = list[tuple[str, str]]


def read_uwsgi_conf(entry: UwsgiEntry) -> UwsgiConf:
    """The ini of the entry with its overrides; raises OSError or ValueError when it cannot be read."""
    options = _read(entry.ini, 0)
    last = dict(options)
    base = last.get("chdir") or str(Path(entry.ini).parent)

    def path(*names: str) -> str | None:
        value = next((last[name] for name in names if last.get(name)), None)
        return os.path.normpath(os.path.join(base, value)) if value else None

    module, _, function = (last.get("module") or last.get("wsgi") or "").partition(":")
    return UwsgiConf(
        name=entry.name,
        ini=entry.ini,
        pidfile=entry.pidfile or path("safe-pidfile", "pidfile", "safe-pidfile2", "pidfile2"),
        stats=entry.stats or _address(last.get("stats") or last.get("stats-server"), base),
        chain_reload=entry.chain_reload or path("touch-chain-reload"),
        preflight=entry.preflight,
        module=module or None,
        wsgi_file=path("wsgi-file", "file"),
        callable=function or last.get("callable") or "application",
        chdir=last.get("chdir") or None,
        home=path("home", "virtualenv", "venv", "pyhome"),
        pythonpath=tuple(value for key, value in options if key in ("pythonpath", "python-path", "pp")),
        env=tuple((k, v) for k, _, v in (value.partition("=") for key, value in options if key == "env")),
        lazy_apps=_is_true(last.get("lazy-apps")) or _is_true(last.get("lazy")),
        mercy_s=float(last.get("worker-reload-mercy") or 60.0),
    )


def _address(value: str | None, base: str) -> str | None:
    if not value or re.fullmatch(r"[^/]*:\d+", value) or value.startswith("@"):
        return value or None
    return os.path.normpath(os.path.join(base, value))


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() in ("true", "1", "yes", "on", "")


def _read(path: str, depth: int) -> Options:
    if depth > MAX_INCLUDES:
        raise ValueError(f"{path}: includes are nested deeper than {MAX_INCLUDES}")
    file = Path(path)
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: larger than {MAX_BYTES // 1024} KiB")
    found: Options = []
    section = ""
    for line in file.read_text("utf-8", "replace").splitlines():
        text = line.strip()
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1].strip()
        elif section == "uwsgi" and text and text[0] not in "#;":
            key, _, value = text.partition("=")
            found += _option(key.strip(), value.strip(), file, found, depth)
    return found


def _option(key: str, value: str, file: Path, earlier: Options, depth: int) -> Options:
    value = _expanded(value, file, dict(earlier))
    if key in _INCLUDES:
        return _read(os.path.join(file.parent, value.partition(":")[0]), depth + 1)
    return [(key, value)]


def _expanded(value: str, file: Path, known: dict[str, str]) -> str:
    """Magic variables as in the uWSGI docs, "Magic variables"; unknown ones stay as they are."""
    magic = {
        "%d": f"{file.parent}/",
        "%n": file.stem,
        "%p": str(file),
        "%s": file.name,
        "%e": file.suffix.lstrip("."),
        "%c": file.parent.name,
        "%h": os.uname().nodename,
        "%%": "%",
    }
    value = re.sub(r"\$\(([A-Za-z_0-9]+)\)", lambda m: os.environ.get(m[1], m[0]), value)
    value = re.sub(r"%\(([^)]+)\)", lambda m: known.get(m[1], m[0]), value)
    return re.sub(r"%[a-z%]", lambda m: magic.get(m[0], m[0]), value)
