"""`boot.py FOLDER SEEN...`, in a mount namespace of its own: boot this host's own files under a real systemd.

The root is an overlay over /, whose changes live in a tmpfs. All mounts are in the mount namespace of this process, so
that they go with it, however it ends. SEEN are shown read-only at their own paths.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

NSPAWN = "systemd-nspawn --quiet --boot --private-network --register=no --keep-unit --system-call-filter=pidfd_getfd"
# What the host has in these folders is not the business of a fresh server.
EMPTY = ("tmp", "home", "root", "srv", "opt", "etc/systemd/system", "etc/supervisor/conf.d", "etc/paramedic", "var/log")
REBOOTS = 133  # with --keep-unit nspawn leaves the next boot to who started it
KEPT = ("supervisor.service",)


def _empty(upper: Path, name: str) -> None:
    folder = upper / name
    folder.mkdir(parents=True, exist_ok=True)
    os.setxattr(folder, "trusted.overlay.opaque", b"y")
    folder.chmod(0o1777 if name == "tmp" else 0o755)


def main(words: list[str]) -> None:
    """Mount, and boot as often as the machine asks for it."""
    folder, seen = Path(words[0]), words[1:]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=3g", "tmpfs", str(folder)], check=True)
    # nspawn keeps its sockets here, and refuses to clean what is no tmpfs when the machine reboots.
    Path("/run/systemd/nspawn").mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/systemd/nspawn"], check=True)
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for made in (upper, work, root):
        made.mkdir(mode=0o755)
    for name in EMPTY:
        _empty(upper, name)
    for name in ("etc", "etc/systemd", "etc/supervisor", "var"):
        (upper / name).chmod(0o755)
    (upper / "var/log/supervisor").mkdir()
    wants = upper / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    for unit in KEPT:
        (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")
    layers = f"lowerdir=/,upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", str(root)], check=True)
    binds = [f"--bind-ro={path}" for path in seen]
    os.environ["SYSTEMD_NSPAWN_TMPFS_TMP"] = "0"
    argv = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        *NSPAWN.split(),
        "-D",
        str(root),
        "-M",
        "paramedic",
        "--console=pipe",
        *binds,
    ]
    while subprocess.run(argv).returncode == REBOOTS:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
