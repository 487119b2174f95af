"""Paths: looked at without following links, linked and moved without ever overwriting, written atomically."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from paramedic.host.folders import folder, private
from paramedic.model.readings import PathKind, PathReading

_KINDS = {
    stat.S_IFSOCK: PathKind.SOCKET,
    stat.S_IFREG: PathKind.FILE,
    stat.S_IFDIR: PathKind.DIRECTORY,
    stat.S_IFLNK: PathKind.SYMLINK,
}
_RENAME_NOREPLACE = 1
MOST_ASIDE = 100
_libc = ctypes.CDLL(None, use_errno=True)


def number(found: os.stat_result) -> int:
    """The inode number as the kernel's unix_diag tells it: its low 32 bits."""
    return found.st_ino & 0xFFFFFFFF


def look(path: str) -> PathReading:
    """What stands at `path`; raises OSError for anything but absence (permission, I/O)."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return PathReading(PathKind.ABSENT, parent=Path(path).parent.is_dir())
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), PathKind.OTHER)
    return PathReading(kind, number(found), stat.S_IMODE(found.st_mode), found.st_uid, found.st_size, gid=found.st_gid)


def keep_folder(path: str) -> str:
    """Where the keep-link of the socket at `path` lives: beside it, so that it is on the same mount."""
    return str(Path(path).parent / f".paramedic-{os.geteuid()}")


def keep_link(path: str) -> str:
    """The name of the keep-link of the socket at `path`."""
    return f"{keep_folder(path)}/{Path(path).name}"


def refresh_link(source: str, target: str, inode: int) -> None:
    """Make `target` another name of `source`, which must be the inode that was read."""
    target_path = Path(target)
    with folder(str(Path(source).parent)) as here, private(str(target_path.parent)) as there:
        fresh = f"{target_path.name}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=there)
        os.link(Path(source).name, fresh, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
        if number(os.stat(fresh, dir_fd=there, follow_symlinks=False)) != inode:
            os.unlink(fresh, dir_fd=there)
            raise OSError(errno.ESTALE, "the socket changed while it was linked", source)
        os.rename(fresh, target_path.name, src_dir_fd=there, dst_dir_fd=there)


def link_back(kept: str, path: str, inode: int) -> None:
    """Give the kept inode its path again; never overwrites: EEXIST when something stands there."""
    with private(str(Path(kept).parent)) as here, folder(str(Path(path).parent)) as there:
        name = Path(kept).name
        found = os.stat(name, dir_fd=here, follow_symlinks=False)
        if number(found) != inode or not stat.S_ISSOCK(found.st_mode):
            raise OSError(errno.ESTALE, "the kept link is not the live socket", kept)
        os.link(name, Path(path).name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)


def move_in(there: int, name: str, path: str) -> None:
    """Move `name` of the folder open at `there` to `path`, which must be free: FileExistsError otherwise."""
    with folder(str(Path(path).parent)) as target:
        _rename_noreplace(there, name, Path(path).name, target)


def move_aside(path: str, suffix: str, inode: int) -> str | None:
    """Free `path`: remove what is provably empty or a dead socket, rename everything else beside it.

    Returns the new name, None where nothing had to be kept. Raises OSError(ESTALE) if it is not the
    inode that was judged, or a socket that somebody listens on: then it is put back.
    """
    name = Path(path).name
    with folder(str(Path(path).parent)) as there:
        aside = _rename_free(there, name, f"{name}.aside-{suffix}")
        found = os.stat(aside, dir_fd=there, follow_symlinks=False)
        is_live = stat.S_ISSOCK(found.st_mode) and is_listening(str(Path(path).with_name(aside)))
        if number(found) != inode or is_live:
            _rename_noreplace(there, aside, name)
            raise OSError(errno.ESTALE, "something else stands there now", path)
        is_empty_file = stat.S_ISREG(found.st_mode) and found.st_size == 0 and found.st_nlink == 1
        if is_empty_file or stat.S_ISSOCK(found.st_mode):
            os.unlink(aside, dir_fd=there)
            return None
    return str(Path(path).with_name(aside))


def _rename_free(there: int, name: str, wanted: str) -> str:
    """Rename to the wanted name, or where that is taken to one with a number behind it; the name it has now."""
    for number in range(1, MOST_ASIDE):
        new = wanted if number == 1 else f"{wanted}-{number}"
        with contextlib.suppress(FileExistsError):
            _rename_noreplace(there, name, new)
            return new
    raise OSError(errno.EEXIST, "too much was moved aside there already", wanted)


def unlink_link(path: str, target: str) -> None:
    """Remove the symbolic link at `path` if it points to `target`; raises OSError(ESTALE) where it does not."""
    with folder(str(Path(path).parent)) as there:
        if os.readlink(Path(path).name, dir_fd=there) != target:
            raise OSError(errno.ESTALE, "it points elsewhere now", path)
        os.unlink(Path(path).name, dir_fd=there)


def is_listening(place: str | int) -> bool:
    """Whether anybody listens on the socket at a path, or behind an O_PATH descriptor. connect() proves no more than
    that, and waits for nothing.
    """
    fd = os.dup(place) if isinstance(place, int) else os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
            client.setblocking(False)
            client.connect(f"/proc/self/fd/{fd}")
    except ConnectionRefusedError:
        return False
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EPROTOTYPE, errno.EACCES)
    finally:
        os.close(fd)
    return True


def _rename_noreplace(fd: int, old: str, new: str, there: int | None = None) -> None:
    """renameat2(2) with RENAME_NOREPLACE: the standard library has no call that refuses to overwrite."""
    target = fd if there is None else there
    result = _libc.renameat2(fd, os.fsencode(old), target, os.fsencode(new), _RENAME_NOREPLACE)
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), new if code == errno.EEXIST else old)


def touch_newer(path: str, now: float) -> int:
    """Set the mtime of an existing regular file to a whole second strictly above the old one; returns it.

    uWSGI compares whole seconds (core/utils.c, uwsgi_check_touches). Never creates, never follows a link.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        when = max(int(now), int(found.st_mtime) + 1)
        os.utime(fd, (when, when))
        if int(os.fstat(fd).st_mtime) != when:
            raise OSError(errno.EIO, "its time did not change", path)
        return when
    finally:
        os.close(fd)


@contextlib.contextmanager
def pinned_fd(path: str, inode: int) -> Iterator[int]:
    """An O_PATH descriptor of this very socket, whatever happens to the path; OSError(ESTALE) if it is another one."""
    with folder(str(Path(path).parent)) as there:
        fd = os.open(Path(path).name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=there)
    try:
        found = os.fstat(fd)
        if number(found) != inode or not stat.S_ISSOCK(found.st_mode):
            raise OSError(errno.ESTALE, "something else stands there now", path)
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def pinned(path: str, inode: int) -> Iterator[str]:
    """A name that means this very socket; raises OSError(ESTALE) if it is another one."""
    with pinned_fd(path, inode) as fd:
        yield f"/proc/self/fd/{fd}"


def open_to_owner(live: int, mode: int) -> None:
    """Give a live socket its mode back where not even its owner may use it: nobody could be carried there."""
    found = os.fstat(live)
    if not found.st_mode & stat.S_IWUSR:
        os.chmod(f"/proc/self/fd/{live}", mode | (found.st_mode & stat.S_ISVTX))


def set_owner_and_mode(path: str, inode: int, uid: int, gid: int, mode: int) -> None:
    """Owner and mode of this very inode; its sticky bit, which keeps cleaners away, stays."""
    with pinned(path, inode) as name:
        found = os.stat(name)
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.chown(name, uid, gid)
        os.chmod(name, mode | (found.st_mode & stat.S_ISVTX))


def protect(path: str, inode: int, now: float, older_than_s: float) -> None:
    """Keep cleaners away from a live socket: systemd-tmpfiles skips what has the sticky bit, others what is fresh."""
    with pinned(path, inode) as name:
        found = os.stat(name)
        if not found.st_mode & stat.S_ISVTX:
            os.chmod(name, stat.S_IMODE(found.st_mode) | stat.S_ISVTX)
        if now - found.st_mtime > older_than_s:
            os.utime(name, (now, now))


def freshen(path: str, now: float, older_than_s: float) -> None:
    """Renew the time of a file of ours that has become old."""
    with contextlib.suppress(FileNotFoundError):
        if now - os.lstat(path).st_mtime > older_than_s:
            os.utime(path, (now, now), follow_symlinks=False)


def write_private(path: str, data: bytes) -> None:
    """Replace the file at `path` atomically with 0600 content of ours."""
    target = Path(path)
    fd, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def read_tail(path: str, most: int) -> str:
    """The last `most` bytes of a regular file as text; raises OSError, ValueError for another kind: it never waits."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("not a regular file")
        file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read(most).decode("utf-8", "replace")


def read_text(path: str, most: int) -> str:
    """A regular file as UTF-8 text; raises OSError, or ValueError for another kind or more than `most` bytes."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"larger than {most // 1024} KiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None


def inode_of(path: str) -> int | None:
    """The inode behind a path, links followed; None without one."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
