"""What a key does: the state of the view, and the next one. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

SORT_KEYS = {"r": "rss", "p": "pss", "u": "uss", "s": "slope", "R": "requests", "i": "id"}
QUIT = ("q", "Q")
HELP = """\
r  sort by RSS: resident memory, shared pages included, from /proc and not from uWSGI
p  sort by PSS: resident memory, shared pages divided among those that share them: its sums are true
u  sort by USS: memory that only this process holds, and that would be free if it ended
s  sort by SLOPE/H: growth of RSS over the last hour, without what recycling took away; unknown for the first \
15 minutes, unless the agent recorded the time before
R  sort by requests
i  by id, programs by name
space  stop the picture, or go on
arrows, page keys, home, end  scroll, this help too
h ?  this help; any other key ends it
q  quit

READ AGO: how long ago PSS, USS and SWAP were read, where that is more than 15 s. Reading them costs the host, so they \
are read in turn, those that grew first. A sum is as old as its oldest part.
STATUS: booting loads its app and takes no requests; spawning has no process at the moment.
A dash is what could not be told; paramedic top --once --json says why."""


@dataclass(frozen=True, slots=True)
class Stance:
    """How one looks at the rows: in which order, from which line on, with the picture stopped or the help in front."""

    by: str = "id"
    offset: int = 0
    is_paused: bool = False
    is_helping: bool = False


def pressed(stance: Stance, key: str, height: int, length: int) -> Stance | None:
    """The stance after a key, None to quit. `height` lines of `length` are in sight."""
    if key in QUIT:
        return None
    steps = {"up": -1, "down": 1, "page-up": 1 - height, "page-down": height - 1, "home": -length, "end": length}
    if stance.is_helping and key not in steps:
        return replace(stance, is_helping=False, offset=0)
    if key in ("h", "?"):
        return replace(stance, is_helping=True, offset=0)
    if key == " ":
        return replace(stance, is_paused=not stance.is_paused)
    if key in SORT_KEYS:
        return replace(stance, by=SORT_KEYS[key], offset=0)
    return scrolled(replace(stance, offset=stance.offset + steps.get(key, 0)), height, length)


def scrolled(stance: Stance, height: int, length: int) -> Stance:
    """Not beyond the first line nor the last page, whatever the terminal or the rows became."""
    return replace(stance, offset=max(0, min(stance.offset, length - height)))


def footer(stance: Stance) -> str:
    """The last line: how it is sorted, and the keys."""
    paused = "PAUSED  " if stance.is_paused else ""
    return f"{paused}by {stance.by}:  r RSS  p PSS  u USS  s slope  R requests  i id  space pause  h help  q quit"
