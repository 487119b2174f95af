"""One number for one file: its inode together with its file system, as far as both can be told alike.

unix_diag tells the low 32 bits of the inode and the device of the superblock (include/uapi/linux/unix_diag.h,
struct unix_diag_vfs). On btrfs and overlayfs stat(2) tells another device: there only the inode counts.
"""

from __future__ import annotations

import contextlib
import os
import time

_PLAIN = frozenset(("ext2", "ext3", "ext4", "xfs", "f2fs", "tmpfs", "ramfs", "devtmpfs", "rootfs"))
AGAIN_S = 60.0
_LOW = 0xFFFFFFFF
_plain: frozenset[int] = frozenset()
_bases: dict[int, int] = {}  # st_dev of those that are plain -> the upper half of their numbers
_looked_at = float("-inf")


def of_file(found: os.stat_result) -> int:
    """The number of what was looked at."""
    base = _bases.get(found.st_dev)
    if base is not None:
        return base | (found.st_ino & _LOW)
    device = os.major(found.st_dev) << 20 | os.minor(found.st_dev)
    if _is_plain(device):
        _bases[found.st_dev] = device << 32
    return of_socket(found.st_ino, device)


def of_socket(inode: int, device: int) -> int:
    """The number of what unix_diag tells of: the device is that of the kernel, 12 bits and 20."""
    return (device if _is_plain(device) else 0) << 32 | (inode & _LOW)


def known() -> frozenset[int]:
    """The file systems that are told apart: what was numbered while others were known must be numbered anew."""
    return _plain


def refresh() -> None:
    """Before a look, not within one: a minute later a device's number may be that of another file system."""
    if time.monotonic() - _looked_at > AGAIN_S:
        _look()


def is_same(number: int, st_ino: int) -> bool:
    """Whether the inode alone fits, where no more is known."""
    return number & _LOW == st_ino & _LOW


def _is_plain(device: int) -> bool:
    """Whether it is a mounted file system on which stat(2) and the kernel name the same device."""
    if device not in _plain and time.monotonic() - _looked_at > AGAIN_S:
        _look()
    return device in _plain


def _look() -> None:
    """At /proc/self/mountinfo (proc(5))."""
    global _looked_at, _plain
    _looked_at, found = time.monotonic(), set[int]()
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        for line in table:
            before, _, after = line.partition(" - ")
            if after.partition(" ")[0] in _PLAIN:
                major, _, minor = before.split(" ")[2].partition(":")
                found.add(int(major) << 20 | int(minor))
        if found != _plain:
            _plain = frozenset(found)
            _bases.clear()
