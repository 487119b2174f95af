"""Policy files on disk -> policies, and whether they changed. Files are read here, their texts judged in policy/."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import paramedic
from paramedic.document import MAX_BYTES
from paramedic.host import clock
from paramedic.host.texts import read_text
from paramedic.host.writers import writable_by_others
from paramedic.model.policy import Policy
from paramedic.policy.load import PolicyErrors, load
from paramedic.settings import not_ours

RACY_S = 2.0  # what is added in the same tick of the file system as another change does not change its time
Fingerprint = tuple[tuple[str, int, int, int], ...]


def shipped_policies() -> Path:
    """The policies that came with this installation; in a checkout the folder at its top."""
    package = Path(paramedic.__file__).parent
    installed = package / "shipped" / "policies"
    return installed if installed.is_dir() else package.parent.parent / "policies"


def files_of(names: Iterable[str], shipped: Path | None = None) -> list[Path]:
    """The policy files behind the `policies:` list: files, the *.yaml of folders, and `shipped`."""
    return [Path(path) for path in _paths_of(names, shipped)]


def _paths_of(names: Iterable[str], shipped: Path | None) -> list[str]:
    found: list[str] = []
    for name in names:
        found += _listed(str(shipped or shipped_policies()) if name == "shipped" else name)
    return found


def _listed(path: str) -> list[str]:
    try:
        return sorted(f"{path}/{one}" for one in os.listdir(path) if one.endswith(".yaml"))
    except OSError:
        return [path]


def load_files(paths: Sequence[Path]) -> tuple[Policy, ...]:
    """The policies of all files, in order; raises PolicyErrors with every fault of every file."""
    texts: list[tuple[str, str]] = []
    errors: list[str] = []
    for path in paths:
        try:
            texts.append((str(path), read_text(str(path), MAX_BYTES)))
        except (OSError, ValueError) as error:
            errors.append(f"{path}:1:1: cannot read it: {getattr(error, 'strerror', None) or error}")
    try:
        found = load(texts)
    except PolicyErrors as wrong:
        raise PolicyErrors([*errors, *wrong.errors]) from wrong
    if errors:
        raise PolicyErrors(errors)
    return found


def load_trusted(names: Sequence[str]) -> tuple[Policy, ...]:
    """The policies behind `policies:`; PolicyErrors also where others could write one. The shipped ones are as safe as
    the program they came with.
    """
    errors = []
    for path in files_of(name for name in names if name != "shipped"):
        with contextlib.suppress(OSError):  # loading it says so
            other = writable_by_others(str(path), {os.geteuid()})
            if other is not None:
                errors.append(f"{path}:1:1: cannot trust it: {not_ours(other)}")
    if errors:
        raise PolicyErrors(errors)
    return load_files(files_of(names))


class Rulebook:
    """The policies in force. `refresh` takes over changed files if all are valid, and keeps the old ones if not."""

    def __init__(self, names: Sequence[str], policies: tuple[Policy, ...] | None = None) -> None:
        self._names = tuple(names)
        self._folders = [str(shipped_policies()) if name == "shipped" else name for name in self._names]
        self._lists: dict[str, tuple[tuple[int, int, int], list[str]]] = {}
        self._seen = self._last = self._fingerprint()
        self.policies = load_trusted(names) if policies is None else policies
        self.errors: tuple[str, ...] = ()

    def refresh(self, force: bool = False) -> bool:
        """Whether other policies are in force now; `errors` says why not, where files changed and are invalid.

        A change counts when two looks saw the same: an editor or a deployment takes files away for a moment.
        """
        seen, before = self._fingerprint(), self._last
        self._last = seen
        if not force and (seen == self._seen or seen != before):
            return False
        self._seen = seen
        try:
            found = load_trusted(self._names)
            if not found and self.policies:
                raise PolicyErrors([f"{name}:1:1: cannot find any policy: the old ones stay" for name in self._names])
        except PolicyErrors as wrong:
            self.errors = tuple(wrong.errors)
            return False
        self.errors = ()
        if found == self.policies:
            return False
        self.policies = found
        return True

    def files(self) -> list[str]:
        """The files in force: events on them hint at a change."""
        return [path for path, *_ in self._seen]

    def _fingerprint(self) -> Fingerprint:
        return tuple([_mark(path) for folder in self._folders for path in self._files_in(folder)])

    def _files_in(self, folder: str) -> list[str]:
        """As `_listed`; a folder that has not changed for seconds holds the same names as when it was listed.

        By the time that nobody can set: copies keep that of their originals.
        """
        try:
            found = os.stat(folder)
        except OSError:
            return _listed(folder)
        mark, kept = (found.st_dev, found.st_ino, found.st_ctime_ns), self._lists.get(folder)
        if clock.wall() - found.st_ctime < RACY_S:
            return _listed(folder)
        if kept is None or kept[0] != mark:
            kept = self._lists[folder] = (mark, _listed(folder))
        return kept[1]


def _mark(path: str) -> tuple[str, int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return path, 0, 0, 0
    return path, found.st_ino, found.st_mtime_ns, found.st_size
