"""A terminal with a program in it: a pty, and the few xterm sequences that curses writes to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.waiting import wait_for

_SEQUENCE = re.compile(r"\x1b(?:\[[?>]?([\d;]*)([@-~])|[()][A-Z0-9]|[=>M])|\x1b\][^\x07]*\x07")


class Terminal:
    """Starts the program at once; `rows` is what a person sees."""

    def __init__(self, argv: Sequence[object], environ: Mapping[str, str], lines: int = 40, columns: int = 160) -> None:
        self.lines, self.columns = lines, columns
        self.written = ""
        self._screen: dict[tuple[int, int], str] = {}
        self._row = self._column = 0
        self._unread = ""
        self._region = (0, lines)
        self.status: int | None = None
        self.master, slave = pty.openpty()
        self._size()
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                os.login_tty(slave)
                signal.signal(signal.SIGINT, signal.SIG_DFL)  # as in a terminal, though the tests may run without one
                words = [str(word) for word in argv]
                os.execve(words[0], words, {"TERM": "xterm", **environ})  # noqa: S606
            os._exit(127)
        os.set_blocking(self.master, False)

    def resize(self, lines: int, columns: int) -> None:
        """Another size; the program is told by SIGWINCH."""
        self.lines, self.columns = lines, columns
        self._screen.clear()
        self._region = (0, lines)
        self._size()

    def type(self, keys: str) -> None:
        """What a person types."""
        os.write(self.master, keys.encode())

    def rows(self) -> list[str]:
        """What is on the screen now."""
        self._read()
        found = []
        for row in range(self.lines):
            found.append("".join(self._screen.get((row, column), " ") for column in range(self.columns)).rstrip())
        return found

    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.rows())

    def await_seen(self, what: str, look: Callable[[], object]) -> None:
        """Wait until it shows so; what it shows instead is told."""
        try:
            wait_for(what, look)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.text()}\n{self.written[-1000:]!r}") from late

    def ended(self, deadline_s: float = 10.0) -> int:
        """Its exit code, once it has left."""

        def look() -> bool:
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
            return pid != 0

        if self.status is None:
            wait_for("the program in the terminal has left", look, deadline_s)
            self._read()
        assert self.status is not None
        return self.status

    def settings(self) -> list[Any]:
        """How the terminal is set now (termios(3))."""
        return termios.tcgetattr(self._slave)

    def close(self) -> None:
        """End the program if it still runs, and give the terminal back."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.ended()
        os.close(self.master)
        os.close(self._slave)

    def _size(self) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", self.lines, self.columns, 0, 0))

    def _read(self) -> None:
        until = time.monotonic() + 1
        with contextlib.suppress(BlockingIOError, OSError):
            while time.monotonic() < until:
                text = os.read(self.master, 65536).decode("utf-8", "replace")
                self.written += text
                self._unread += text
        self._draw()

    def _draw(self) -> None:
        text, at = self._unread, 0
        while at < len(text):
            if text[at] == "\x1b":
                found = _SEQUENCE.match(text, at)
                if found is None:
                    if len(text) - at < 20:
                        break
                    raise AssertionError(f"a sequence this terminal does not know: {text[at : at + 20]!r}")
                if found[0] == "\x1bM":
                    self._rise()
                else:
                    self._obey(found[1] or "", found[2] or "")
                at = found.end()
                continue
            self._put(text[at])
            at += 1
        self._unread = text[at:]

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._feed()
        elif letter == "\b":
            self._column -= 1
        elif letter == "\t":
            self._column = (self._column // 8 + 1) * 8
        elif letter >= " ":
            self._screen[self._row, self._column] = letter
            self._column += 1

    def _feed(self) -> None:
        if self._row == self._region[1] - 1:
            self._scroll(1)
        else:
            self._row += 1

    def _rise(self) -> None:
        if self._row == self._region[0]:
            self._scroll(-1)
        else:
            self._row -= 1

    def _obey(self, words: str, what: str) -> None:
        numbers = [int(word or 0) for word in words.split(";")] if words else []
        first = numbers[0] if numbers else 0
        count = max(1, first)
        here = (self._row, self._column)
        ends = {0: (self._row + 1, 0), 1: (self._row, self._column + 1), 2: (self._row + 1, 0)}
        acts: dict[str, Callable[[], object]] = {
            "H": lambda: self._go(count - 1, max(1, *numbers[1:2], 1) - 1),
            "d": lambda: self._go(count - 1, self._column),
            "G": lambda: self._go(self._row, count - 1),
            "A": lambda: self._go(self._row - count, self._column),
            "B": lambda: self._go(self._row + count, self._column),
            "C": lambda: self._go(self._row, self._column + count),
            "D": lambda: self._go(self._row, self._column - count),
            "J": lambda: self._blank(here if first == 0 else (0, 0), (self.lines, 0)),
            "K": lambda: self._blank(here if first == 0 else (self._row, 0), ends[first]),
            "X": lambda: self._blank(here, (self._row, self._column + count)),
            "P": lambda: self._shift(-count),
            "@": lambda: self._shift(count),
            "b": lambda: self._repeat(count),
            "r": lambda: self._set_region(*(numbers or [1, self.lines])),
            "S": lambda: self._scroll(count),
            "T": lambda: self._scroll(-count),
        }
        if what not in acts and what not in "mhltn":
            raise AssertionError(f"a sequence this terminal does not know: {words}{what}")
        acts.get(what, lambda: None)()

    def _go(self, row: int, column: int) -> None:
        self._row, self._column = row, column

    def _repeat(self, count: int) -> None:
        for _ in range(count):
            self._put(self._screen.get((self._row, self._column - 1), " "))

    def _set_region(self, first: int, last: int) -> None:
        self._region = (first - 1, last)
        self._go(0, 0)

    def _scroll(self, up: int) -> None:
        first, last = self._region
        inside = {place: letter for place, letter in self._screen.items() if first <= place[0] < last}
        for place in inside:
            del self._screen[place]
        for (row, column), letter in inside.items():
            if first <= row - up < last:
                self._screen[row - up, column] = letter

    def _shift(self, by: int) -> None:
        row = {column: letter for (at, column), letter in self._screen.items() if at == self._row}
        for column in [column for column in row if column >= self._column]:
            del self._screen[self._row, column]
        for column, letter in row.items():
            if column >= self._column and column + by >= self._column:
                self._screen[self._row, column + by] = letter

    def _blank(self, begin: tuple[int, int], end: tuple[int, int]) -> None:
        for place in [place for place in self._screen if begin <= place < end]:
            del self._screen[place]
