"""The folders of this host that something empties: tmpfiles.d(5) with an age, tmpreaper, and by custom /tmp."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import shlex
from dataclasses import dataclass
from pathlib import Path

from paramedic.host.texts import read_text

MOST_BYTES = 1 << 20
# Of files of one name the first folder's counts (tmpfiles.d(5), "Configuration directories and precedence").
_FOLDERS = ("etc/tmpfiles.d", "run/tmpfiles.d", "usr/local/lib/tmpfiles.d", "usr/lib/tmpfiles.d")
_AGED = "dDevqQC"
_SPECIFIERS = {"%T": "/tmp", "%V": "/var/tmp", "%t": "/run", "%S": "/var/lib", "%C": "/var/cache"}  # noqa: S108
BY_CUSTOM = {"/tmp": "any cleanup may empty it", "/var/tmp": "any cleanup may empty it"}  # noqa: S108


@dataclass(frozen=True, slots=True)
class Cleaners:
    """Folder -> who empties it; and the patterns that systemd-tmpfiles spares, with what is below them."""

    folders: dict[str, str]
    spared: tuple[str, ...] = ()

    def of(self, path: str) -> str | None:
        """Who empties the nearest of these folders above a path; None where nobody does."""
        above = [str(parent) for parent in Path(path).parents]
        return next((self.folders[folder] for folder in above if folder in self.folders), None)

    def is_spared(self, path: str) -> bool:
        """Whether a line of tmpfiles.d excludes it."""
        places = [path, *(str(parent) for parent in Path(path).parents)]
        return any(fnmatch.fnmatch(place, pattern) for place in places for pattern in self.spared)


def cleaners(root: str = "/") -> Cleaners:
    """What the configuration below `root` says; a file that cannot be read says nothing."""
    folders, spared = dict(BY_CUSTOM), list[str]()
    for file in _tmpfiles(root):
        for words in _lines(file):
            kind, path = words[0], _plain(words[1])
            if path is None or "!" in kind:
                continue
            if kind[0] == "x":
                spared.append(path)
            elif kind[0] in _AGED and len(words) > 5 and words[5] != "-":
                for place in glob.glob(path) or [path]:
                    folders[place.rstrip("/") or "/"] = f"systemd-tmpfiles empties it after {words[5]}"
    return Cleaners({**folders, **_tmpreaper(root, folders)}, tuple(spared))


def _tmpfiles(root: str) -> list[Path]:
    found: dict[str, Path] = {}
    for folder in _FOLDERS:
        for file in Path(root, folder).glob("*.conf"):
            found.setdefault(file.name, file)
    return [found[name] for name in sorted(found)]


def _lines(file: Path) -> list[list[str]]:
    found = []
    with contextlib.suppress(OSError, ValueError):
        for line in read_text(str(file), MOST_BYTES).splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                with contextlib.suppress(ValueError):
                    found.append(shlex.split(line))
    return [words for words in found if len(words) > 1]


def _plain(path: str) -> str | None:
    """The path with its specifiers put in; None for those that only systemd knows."""
    for specifier, value in _SPECIFIERS.items():
        path = path.replace(specifier, value)
    return None if "%" in path else path


def _tmpreaper(root: str, known: dict[str, str]) -> dict[str, str]:
    """Debian's tmpreaper (cron.daily): it takes sockets only with --all, and nothing while SHOWWARNING is set."""
    if not Path(root, "usr/sbin/tmpreaper").exists():
        return {}
    says = {"TMPREAPER_DIRS": "/tmp/.", "TMPREAPER_TIME": "7d"}  # noqa: S108
    for words in _lines_of_shell(Path(root, "etc/tmpreaper.conf")):
        name, _, value = words.partition("=")
        says[name] = value
    options = says.get("TMPREAPER_ADDITIONALOPTIONS", "").split()
    if says.get("SHOWWARNING") == "true" or not {"--all", "-a"} & set(options):
        return {}
    places = [place.removesuffix("/.").rstrip("/") or "/" for place in says["TMPREAPER_DIRS"].split()]
    with_time = f"tmpreaper empties it after {says['TMPREAPER_TIME']}"
    also = {place: known.get(place, "") for place in places}
    return {
        place: with_time if who in ("", "any cleanup may empty it") else f"{who} and {with_time}"
        for place, who in also.items()
    }


def _lines_of_shell(file: Path) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        for line in read_text(str(file), MOST_BYTES).splitlines():
            with contextlib.suppress(ValueError):
                found += [word for word in shlex.split(line, comments=True) if "=" in word]
    return found
