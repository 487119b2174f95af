"""Paths: looked at without following links, linked and moved without ever overwriting, written atomically."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import stat
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from paramedic.host import inodes
from paramedic.host.failpoint import reached
from paramedic.host.folders import folder, open_without_links, private, rename_noreplace
from paramedic.model.readings import PathKind, PathReading

_KINDS = {
    stat.S_IFSOCK: PathKind.SOCKET,
    stat.S_IFREG: PathKind.FILE,
    stat.S_IFDIR: PathKind.DIRECTORY,
    stat.S_IFLNK: PathKind.SYMLINK,
}
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_ASIDE = 100
_NAME_IT = "if that is right, write it as stack.uwsgi.NAME.chain_reload"


def number(found: os.stat_result) -> int:
    """The inode number together with its file system, as unix_diag tells it of a listening socket."""
    return inodes.of_file(found)


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
    return os.path.dirname(_keep_link(path, os.geteuid()))


def keep_link(path: str) -> str:
    """The name of the keep-link of the socket at `path`."""
    return _keep_link(path, os.geteuid())


@functools.lru_cache(maxsize=64)
def _keep_link(path: str, uid: int) -> str:
    return f"{os.path.dirname(path)}/.paramedic-{uid}/{os.path.basename(path)}"


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
        reached("linked")


def move_in(there: int, name: str, path: str) -> None:
    """Move `name` of the folder open at `there` to `path`, which must be free: FileExistsError otherwise."""
    with folder(str(Path(path).parent)) as target:
        rename_noreplace(there, name, Path(path).name, target)


def move_aside(path: str, suffix: str, inode: int) -> str | None:
    """Free `path`: remove what is provably empty or a dead socket, rename everything else beside it.

    Returns the new name, None where nothing had to be kept. Raises OSError(ESTALE) if it is not the
    inode that was judged, or a socket that somebody listens on: then it is put back.
    """
    name = Path(path).name
    with folder(str(Path(path).parent)) as there:
        aside = _rename_free(there, name, f"{name}.aside-{suffix}")
        reached("moved aside")
        found = os.stat(aside, dir_fd=there, follow_symlinks=False)
        is_live = stat.S_ISSOCK(found.st_mode) and is_listening(f"/proc/self/fd/{there}/{aside}")
        if number(found) != inode or is_live:
            rename_noreplace(there, aside, name)
            raise OSError(errno.ESTALE, "something else stands there now", path)
        is_empty_file = stat.S_ISREG(found.st_mode) and found.st_size == 0 and found.st_nlink == 1
        if is_empty_file or stat.S_ISSOCK(found.st_mode):
            os.unlink(aside, dir_fd=there)
            reached("removed")
            return None
    return str(Path(path).with_name(aside))


def _rename_free(there: int, name: str, wanted: str) -> str:
    """Rename to the wanted name, or where that is taken to one with a number behind it; the name it has now."""
    for number in range(1, MOST_ASIDE):
        new = wanted if number == 1 else f"{wanted}-{number}"
        with contextlib.suppress(FileExistsError):
            rename_noreplace(there, name, new)
            return new
    raise OSError(errno.EEXIST, "too much was moved aside there already", wanted)


def unlink_link(path: str, target: str, uid: int) -> None:
    """Remove the symbolic link at `path` if it points to `target` and, unless `uid` is root, belongs to that user.

    Raises OSError where it does not.
    """
    with folder(str(Path(path).parent)) as there:
        if uid not in (0, os.stat(Path(path).name, dir_fd=there, follow_symlinks=False).st_uid):
            raise PermissionError(errno.EPERM, f"it does not belong to user {uid}", path)
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


def open_path(path: str) -> int:
    """An O_PATH descriptor of what stands at the path itself; the folder it is in is reached as `folder` says."""
    fd = open_without_links(path)
    if fd is not None:
        return fd
    with folder(os.path.dirname(path)) as there:
        return os.open(os.path.basename(path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=there)


def touch_newer(path: str, now: float, owners: Collection[int] | None = None) -> int:
    """Set the mtime of an existing regular file to a whole second strictly above the old one; returns it.

    uWSGI compares whole seconds (core/utils.c, uwsgi_check_touches). Never creates, never follows a link, and touches
    no file with a second name: that may be planted there. With `owners` only a file of one of these uids.
    """
    fd = open_path(path)  # a device that is opened may begin to do something
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        if found.st_nlink > 1:
            raise PermissionError(errno.EPERM, f"{path} is a hard link: its file has another name elsewhere")
        if owners is not None and found.st_uid not in owners:
            raise PermissionError(
                errno.EPERM, f"{path} belongs to user {found.st_uid}, and another one names it: {_NAME_IT}"
            )
        when = max(int(now), int(found.st_mtime) + 1)
        os.utime(f"/proc/self/fd/{fd}", (when, when))
        reached("touched")
        if int(os.fstat(fd).st_mtime) != when:
            raise OSError(errno.EIO, "its time did not change", path)
        return when
    finally:
        os.close(fd)


@contextlib.contextmanager
def pinned_fd(path: str, inode: int) -> Iterator[int]:
    """An O_PATH descriptor of this very socket, whatever happens to the path; OSError(ESTALE) if it is another one."""
    fd = open_path(path)
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
        reached("opened to its owner")


def set_owner_and_mode(path: str, inode: int, uid: int, gid: int, mode: int) -> None:
    """Owner and mode of this very inode; its sticky bit, which keeps cleaners away, stays."""
    with pinned(path, inode) as name:
        found = os.stat(name)
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.chown(name, uid, gid)
            reached("owner set")
        os.chmod(name, mode | (found.st_mode & stat.S_ISVTX))
        reached("mode set")


def protect(path: str, inode: int, now: float, older_than_s: float) -> None:
    """Keep cleaners away from a live socket: systemd-tmpfiles skips what has the sticky bit, others what is fresh."""
    stands = os.lstat(path)
    if number(stands) == inode and stands.st_mode & stat.S_ISVTX and now - stands.st_mtime <= older_than_s:
        return
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


def stamp_of(path: str) -> tuple[int, int, int, int]:
    """What changes when another file stands there, its content or its owner changes; zeros without one."""
    try:
        found = os.lstat(path)
    except OSError:
        return 0, 0, 0, 0
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def inode_of(path: str) -> int | None:
    """The inode behind a path, links followed; None without one."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
