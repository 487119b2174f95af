"""The view that goes on: on a terminal with keys (curses), on anything else one page after the other."""

from __future__ import annotations

import locale
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from datetime import tzinfo
from typing import TYPE_CHECKING

from paramedic.top.keys import Stance, footer, pressed, scrolled
from paramedic.top.lines import Kind, Line, Page, helping, page, window
from paramedic.top.seen import Seen

if TYPE_CHECKING:
    import curses

KEY_WAIT_MS = 100
UNLIMITED = 10_000
RED, PLAIN = "\x1b[31m", "\x1b[0m"


class Reader:
    """Looks in a thread of its own, so that keys work while a hung server keeps a look waiting."""

    def __init__(self, look: Callable[[], Seen], interval_s: float) -> None:
        self._look, self._interval_s = look, interval_s
        self._changed = threading.Condition()
        self._newest: Seen | None = None
        self._failure: Exception | None = None
        self._over = threading.Event()
        threading.Thread(target=self._run, name="looks", daemon=True).start()

    def newest(self, other_than: Seen | None = None, wait_s: float = 0.0) -> Seen | None:
        """The newest rows, or None; waits up to `wait_s` for others. Raises what a look raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or self._newest is not other_than, wait_s)
            if self._failure is not None:
                raise self._failure
            return self._newest

    def end(self) -> None:
        """No more looks."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            found, failure = None, None
            try:
                found = self._look()
            except Exception as error:  # noqa: BLE001  raised again where it is shown
                failure = error
            with self._changed:
                self._newest, self._failure = found or self._newest, failure
                self._changed.notify_all()
            if failure is not None:
                return
            self._over.wait(self._interval_s)


def watch(look: Callable[[], Seen], interval_s: float, by: str, zone: tzinfo) -> None:
    """Show rows until a person has seen enough: q, Ctrl-C, or a SIGTERM."""
    signal.signal(signal.SIGTERM, _interrupt)
    reader = Reader(look, interval_s)
    try:
        if can_draw():
            Screen(reader, Stance(by), zone).run()
        else:
            _print_on(reader, by, zone)
    except KeyboardInterrupt:
        return
    finally:
        reader.end()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def can_draw() -> bool:
    """Whether there is a person with a terminal that can place the cursor."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        import curses
    except ImportError:
        return False
    try:
        curses.setupterm()
        return curses.tigetstr("cup") is not None
    except curses.error:
        return False


def show(seen: Seen, by: str, zone: tzinfo) -> str:
    """All lines for whatever stdout is: as wide as the terminal, without limit in a pipe or file."""
    is_tty = sys.stdout.isatty()
    width = shutil.get_terminal_size((UNLIMITED, 24)).columns if is_tty or os.environ.get("COLUMNS") else UNLIMITED
    found = page(seen, by, width, zone)
    lines = [*found.top, Line(""), *found.body, *found.foot]
    is_coloured = is_tty and has_colour()
    return "\n".join(f"{RED}{line.text}{PLAIN}" if line.is_bad and is_coloured else line.text for line in lines)


def has_colour() -> bool:
    """NO_COLOR says no, whatever its value (no-color.org)."""
    return not os.environ.get("NO_COLOR")


def _print_on(reader: Reader, by: str, zone: tzinfo) -> None:
    """One page below the other, as often as there is a new one."""
    shown: Seen | None = None
    while True:
        newest = reader.newest(shown, wait_s=1.0)
        if newest is not None and newest is not shown:
            shown = newest
            sys.stdout.write(show(newest, by, zone) + "\n\n")
            sys.stdout.flush()


class Screen:
    """The terminal while curses has it; `run` gives it back as it was, whatever ends it."""

    def __init__(self, reader: Reader, stance: Stance, zone: tzinfo) -> None:
        self._reader, self._stance, self._zone = reader, stance, zone
        self._shown: Seen | None = None
        self._bad = 0

    def run(self) -> None:
        """Until a person quits."""
        import curses

        locale.setlocale(locale.LC_CTYPE, "")
        curses.wrapper(self._go_on)

    def _go_on(self, window: curses.window) -> None:
        import curses

        if has_colour() and curses.has_colors():
            curses.use_default_colors()
            curses.init_pair(1, curses.COLOR_RED, -1)
            self._bad = curses.color_pair(1)
        if curses.tigetstr("civis"):
            curses.curs_set(0)
        window.timeout(KEY_WAIT_MS)
        drawn: object = None
        while True:
            newest = self._reader.newest()
            if not self._stance.is_paused or self._shown is None:
                self._shown = newest
            state = (self._shown, self._stance, window.getmaxyx())
            if state != drawn:
                self._draw(window)
                drawn = state
            code = window.getch()
            if code != -1 and not self._take(_key(code), window):
                return

    def _take(self, key: str, window: curses.window) -> bool:
        """Whether to go on after this key."""
        height, length = self._room(window)
        stance = pressed(self._stance, key, height, length)
        self._stance = stance or self._stance
        return stance is not None

    def _page(self, window: curses.window) -> Page:
        width = max(1, window.getmaxyx()[1] - 1)
        if self._stance.is_helping:
            return Page((), helping(width), ())
        if self._shown is None:
            return Page((), (Line("looking ..."[:width]),), ())
        found = page(self._shown, self._stance.by, width, self._zone)
        keys = Line(footer(self._stance)[:width], Kind.TITLE)
        return Page(found.top, found.body, (*found.foot, keys))

    def _room(self, window: curses.window) -> tuple[int, int]:
        """(lines that scroll and are in sight, lines that scroll)."""
        found = self._page(window)
        return max(1, window.getmaxyx()[0] - len(found.top) - len(found.foot)), len(found.body)

    def _draw(self, window: curses.window) -> None:
        found, rows = self._page(window), window.getmaxyx()[0]
        height = max(1, rows - len(found.top) - len(found.foot))
        self._stance = scrolled(self._stance, height, len(found.body))
        window.erase()
        lines = [*found.top, *_filled(found, self._stance.offset, height), *found.foot]
        for row, line in enumerate(lines[:rows]):
            window.addstr(row, 0, _encodable(line.text, window.encoding), self._look_of(line))
        window.refresh()

    def _look_of(self, line: Line) -> int:
        import curses

        look = {Kind.TITLE: curses.A_BOLD, Kind.HEAD: curses.A_REVERSE, Kind.PLAIN: curses.A_NORMAL}[line.kind]
        return look | self._bad if line.is_bad else look


def _filled(found: Page, offset: int, height: int) -> list[Line]:
    lines = window(found.body, offset, height)
    return [*lines, *[Line("")] * (height - len(lines))]


def _encodable(text: str, encoding: str) -> str:
    return text.encode(encoding, "replace").decode(encoding)


def _key(code: int) -> str:
    import curses

    known = {
        curses.KEY_UP: "up",
        curses.KEY_DOWN: "down",
        curses.KEY_PPAGE: "page-up",
        curses.KEY_NPAGE: "page-down",
        curses.KEY_HOME: "home",
        curses.KEY_END: "end",
    }
    return known.get(code) or (chr(code) if 0 <= code < 128 else "")
