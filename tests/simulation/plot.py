"""A picture of a day as SVG: used percent over the hours, with and without treatment, and a mark for each act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 960, 484
LEFT, RIGHT, TOP, BOTTOM = 62, 930, 66, 370
LOWEST, HIGHEST = 40.0, 100.0
INK, FAINT, PAPER = "#1f2933", "#d9dee4", "#ffffff"
TREATED, BARE = "#1f5fbf", "#8a94a0"
LIMITS = ((80.0, "#b7791f", "80 %: host-memory-high acts after 5 min"), (85.0, "#c53030", "85 %: never passed"))
KINDS = {
    "recycle_worker": ("#2f855a", "one worker"),
    "chain_reload": ("#c05621", "every worker in turn"),
    "restart_program": ("#6b46c1", "Daphne"),
}
FONT = "font-family='DejaVu Sans, Verdana, Helvetica, sans-serif' font-size='13'"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn: hours since the begin of the day at `begins` o'clock; `spans` are shaded and named."""

    title: str
    begins: float
    hours: float
    treated: Points
    bare: Points
    acts: Sequence[tuple[float, str]]
    spans: Sequence[tuple[float, float, str]] = ()

    def svg(self) -> str:
        """The picture, with a background of its own: it looks the same on a dark page."""
        parts = [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' {FONT} fill='{INK}'>",
            f"<title>{self.title}</title>",
            f"<rect width='{WIDTH}' height='{HEIGHT}' rx='6' fill='{PAPER}'/>",
            _text(LEFT, 30, self.title, "font-size='16' font-weight='bold'"),
            _text(LEFT, 50, "memory in use, % of the total", "fill='#52606d'"),
            *self._axes(),
            *(self._limit(*limit) for limit in LIMITS),
            self._line(self.bare, BARE, 1.6, " stroke-dasharray='6 3'"),
            self._line(self.treated, TREATED, 2.0),
            *(_mark(self._x(hour), self._y(self._at(hour)), kind) for hour, kind in self.acts),
            *self._legend(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _x(self, hour: float) -> float:
        return LEFT + (RIGHT - LEFT) * hour / self.hours

    def _y(self, percent: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (percent - LOWEST) / (HIGHEST - LOWEST)

    def _at(self, hour: float) -> float:
        """What was in use at an hour that was looked at."""
        return min(self.treated, key=lambda point: abs(point[0] - hour))[1]

    def _axes(self) -> list[str]:
        found = []
        for begin, end, name in self.spans:
            left, right = self._x(begin), self._x(end)
            found.append(_box(left, TOP, right - left, BOTTOM - TOP, "#fdf0d5"))
            found.append(_text((left + right) / 2, BOTTOM - 12, name, "text-anchor='middle' fill='#8a6d3b'"))
        for percent in range(int(LOWEST), int(HIGHEST) + 1, 10):
            y = self._y(percent)
            found.append(_rule(LEFT, y, RIGHT, y, FAINT))
            found.append(_text(LEFT - 8, y + 4, f"{percent} %", "text-anchor='end'"))
        for hour in range(0, int(self.hours) + 1, 3):
            x = self._x(hour)
            found.append(_rule(x, BOTTOM, x, BOTTOM + 5, INK))
            clock = f"{int(self.begins + hour) % 24:02d}:00"
            found.append(_text(x, BOTTOM + 21, clock, "text-anchor='middle'"))
        found.append(_rule(LEFT, BOTTOM, RIGHT, BOTTOM, INK))
        found.append(_text((LEFT + RIGHT) / 2, BOTTOM + 41, "time of day", "text-anchor='middle' fill='#52606d'"))
        return found

    def _limit(self, percent: float, colour: str, name: str) -> str:
        y = self._y(percent)
        dashes = "stroke-dasharray='2 3' stroke-width='1.4'"
        return _rule(LEFT, y, RIGHT, y, colour, dashes) + _text(LEFT + 6, y - 5, name, f"fill='{colour}'")

    def _line(self, points: Points, colour: str, width: float, more: str = "") -> str:
        drawn = " ".join(f"{self._x(hour):.1f},{max(TOP, min(BOTTOM, self._y(used))):.1f}" for hour, used in points)
        style = f"stroke='{colour}' stroke-width='{width}' stroke-linejoin='round'{more}"
        return f"<polyline fill='none' {style} points='{drawn}'/>"

    def _legend(self) -> list[str]:
        y = HEIGHT - 46
        found = [
            _rule(LEFT, y, LEFT + 26, y, TREATED, "stroke-width='2'"),
            _text(LEFT + 36, y + 5, "with paramedic and its shipped policies"),
            _rule(LEFT + 350, y, LEFT + 376, y, BARE, "stroke-width='1.6' stroke-dasharray='6 3'"),
            _text(LEFT + 386, y + 5, "without: nobody reloads, until nothing is left"),
        ]
        for at, (kind, (_, what)) in zip((0, 292, 612), KINDS.items(), strict=True):
            count = sum(kind == acted for _, acted in self.acts)
            found.append(_mark(LEFT + at + 13, y + 26, kind))
            found.append(_text(LEFT + at + 36, y + 31, f"{kind}: {what} ({count} times)", "font-size='12'"))
        return found


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {more}>{words}</text>"


def _rule(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' {more}/>"


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' fill='{colour}'/>"


def _mark(x: float, y: float, kind: str) -> str:
    """A disc, a triangle or a square: kinds differ by more than colour."""
    style = f"fill='{KINDS[kind][0]}' stroke='{PAPER}' stroke-width='1.2'"
    if kind == "recycle_worker":
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='5' {style}/>"
    if kind == "chain_reload":
        return f"<path d='M{x:.1f} {y - 7:.1f}l7 12h-14z' {style}/>"
    return f"<rect x='{x - 5:.1f}' y='{y - 5:.1f}' width='10' height='10' {style}/>"
