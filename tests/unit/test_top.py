"""What `paramedic top` shows: rows and lines from looks, without a host, a clock or a terminal."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from paramedic.facts import join
from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.model.facts import Known, Subject, Unknown
from paramedic.model.readings import HostReading, Identity, MemoryReading, Unreadable, UwsgiReading
from paramedic.model.sample import Sample
from paramedic.model.stack import UwsgiConf
from paramedic.model.supervision import ChildRecord, OrphanReading, ProgramReading, RpcReading, SupervisorReading
from paramedic.sense.memory import Rollups
from paramedic.top.cells import age_text, cells, printable
from paramedic.top.columns import SORTS
from paramedic.top.document import as_document
from paramedic.top.keys import SORT_KEYS, Stance, footer, pressed, scrolled
from paramedic.top.lines import Kind, Line, Page, helping, page, window
from paramedic.top.rows import NEEDED, SLOPE, seen
from paramedic.top.seen import Look, Other, Seen
from paramedic.windows import Windows
from unit.builders import MIB, supervisor, uwsgi, worker

GIB = 2**30
NO_PSI = Unreadable("this kernel has no pressure stall information")
HOST = HostReading(32 * GIB, 20 * GIB, 2 * GIB, 1 * GIB, 0, 1.5, 1.0, 0.25)
NOON = 1_700_049_600.0
WIDE = 200
DAPHNE = ProgramReading(
    name="daphne",
    state="RUNNING",
    identity=Identity(101, 5001),
    spawnerr="",
    age_s=93784.0,
    processes=2,
    rss_bytes=90 * MIB,
    memory=MemoryReading(80 * MIB, 75 * MIB, 0, 1000.0),
    connections=12,
)


def memory(pss: int, uss: int, swap: int = 0, read_at: float = 1000.0) -> MemoryReading:
    """A reading in MiB."""
    return MemoryReading(pss * MIB, uss * MIB, swap * MIB, read_at)


def four_workers(requests: int = 0) -> UwsgiReading:
    """A busy, an idle, a booting, a dying and a cheap one."""
    served = worker(1, 201, requests=1000 + requests, status="busy", rss_bytes=300 * MIB, memory=memory(280, 270))
    stale = worker(2, 202, requests=9, rss_bytes=400 * MIB, memory=memory(250, 240, 5, 940.0), exceptions=3)
    booting = worker(3, 203, requests=0, accepting=False, rss_bytes=20 * MIB, memory=memory(9, 8), age_s=1.4)
    nothing = Unreadable("no such process under the master")
    dying = worker(4, 204, identity=None, accepting=False, age_s=None, rss_bytes=nothing, memory=nothing)
    cheap = worker(5, 205, identity=None, status="cheap", age_s=None, rss_bytes=nothing, memory=nothing, requests=0)
    return uwsgi(served, stale, booting, dying, cheap)


def daemon(*programs: ProgramReading, **more: object) -> SupervisorReading:
    """A healthy daemon with these programs."""
    return supervisor(rpc=RpcReading("/tmp/supervisor.sock", "RUNNING", 100, "shop", programs), **more)


def look(at: float = 1000.0, host: HostReading | Unreadable = HOST, **more: object) -> Look:
    """A look at a host with one uWSGI and one Supervisor, or with what `uwsgi=` and `supervisor=` say."""
    servers = {name: more.pop(name, made) for name, made in (("uwsgi", four_workers()), ("supervisor", daemon(DAPHNE)))}
    uwsgis = {"web": servers["uwsgi"]} if servers["uwsgi"] else {}
    daemons = {"main": servers["supervisor"]} if servers["supervisor"] else {}
    facts = join(Sample(at, NOON, host, uwsgis, daemons), Known())  # type: ignore[arg-type]
    total = Unknown(host.reason) if isinstance(host, Unreadable) else host.swap_total_bytes
    others = {"web": (Other("master", 50, 30 * MIB, 5000.0), Other("uWSGI http 1", 51, 8 * MIB, 5000.0))}
    made = Look(facts, total, (0.5, 0.25, 0.125), others if uwsgis else {}, agent="agent 7: all well")
    return replace(made, **more)  # type: ignore[arg-type]


def rows(now: Look | None = None, before: Look | None = None, past: Windows | None = None) -> Seen:
    """The rows of a look."""
    return seen(now or look(), before, past or Windows(NEEDED))


def text(found: Seen, width: int = WIDE, by: str = "id") -> str:
    """All lines as one text."""
    made = page(found, by, width, UTC)
    return "\n".join(line.text for line in (*made.top, *made.body, *made.foot))


def all_lines(made: Page) -> list[Line]:
    """Every line of a page."""
    return [*made.top, *made.body, *made.foot]


GOLDEN = Path(__file__).parent / "golden"


def test_a_wide_terminal_shows_everything() -> None:
    assert text(rows()) == (GOLDEN / "top_wide.txt").read_text()


def test_a_narrow_terminal_drops_columns_and_wraps_nothing() -> None:
    assert text(rows(), 48) == (GOLDEN / "top_narrow.txt").read_text()


@pytest.mark.parametrize("width", [1, 2, 5, 20, 33, 60, 80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for line in all_lines(page(rows(), "id", width, UTC)):
        assert cells(line.text) <= width


def test_an_empty_host_says_so() -> None:
    found = rows(look(uwsgi=None, supervisor=None, agent="no configuration"))
    assert text(found).splitlines()[1:] == [
        "no configuration",
        "no uWSGI and no Supervisor is configured or running: there is nothing to show",
    ]
    assert found.unknown


def test_an_unreadable_stack_says_why_and_what_to_do() -> None:
    found = rows(
        look(
            host=Unreadable("/proc/meminfo has no MemTotal or MemAvailable"),
            uwsgi=Unreadable("the stats socket /run/web.stats of /srv/uwsgi.ini does not answer: Connection refused"),
            supervisor=Unreadable("not allowed to read /tmp/supervisor.sock as this user"),
            load=(),
        )
    )
    assert text(found, 80) == (
        "memory: cannot tell: /proc/meminfo has no MemTotal or MemAvailable  swap -\n"
        "agent 7: all well\n"
        "uwsgi web: uwsgi-unreachable\n"
        "  the stats socket /run/web.stats of /srv/uwsgi.ini does not answer: Connection\n"
        "  refused\n"
        "\n"
        "supervisor main\n"
        "  cannot tell: not allowed to read /tmp/supervisor.sock as this user: run it as\n"
        "  root\n"
        "\n"
        "host: /proc/meminfo has no MemTotal or MemAvailable"
    )
    assert set(found.unknown) == {"host", "uwsgi:web", "supervisor:main"}


def test_an_ordinary_user_reads_in_one_line_what_is_missing() -> None:
    unread = Unreadable("its PSS and USS were not read yet")
    reading = uwsgi(*(worker(number, 200 + number, memory=unread) for number in range(1, 4)))
    closed = frozenset(one.identity for one in reading.workers if one.identity)
    found = rows(look(uwsgi=reading, supervisor=None, closed=closed))
    assert text(found).splitlines()[-1] == (
        "uwsgi.worker:web/1 and 2 more: not allowed to read its PSS and USS as this user: run it as root"
    )
    assert set(found.unknown) == {f"uwsgi.worker:web/{number}" for number in range(1, 4)}


def test_a_worker_between_two_lives_is_not_something_that_cannot_be_told() -> None:
    assert not rows().unknown


ORDERS = [
    ("id", [1, 2, 3, 4, 5]),
    ("rss", [2, 1, 3, 4, 5]),
    ("pss", [1, 2, 3, 4, 5]),
    ("uss", [1, 2, 3, 4, 5]),
    ("slope", [3, 1, 2, 4, 5]),
    ("requests", [1, 4, 2, 3, 5]),
]


@pytest.mark.parametrize(("by", "order"), ORDERS)
def test_rows_are_sorted_with_the_unknown_last(by: str, order: list[int]) -> None:
    past = Windows(NEEDED)
    for number, per_hour in ((1, 10), (2, -5), (3, 20)):
        grows(past, Subject("uwsgi.worker", f"web/{number}"), per_hour)
    body = page(rows(past=past), by, WIDE, UTC).body
    table = [line.text for line in itertools.takewhile(lambda line: line.text, body)][3:]
    assert [int(line.split()[0]) for line in table if line.split()[1] not in ("master", "uWSGI")] == order


def grows(past: Windows, subject: Subject, mib_per_hour: float, drop_at: float = -1.0) -> None:
    """An hour of readings up to the look at 1000, a recycling of 100 MiB among them."""
    times = [1000.0 + 60 * (step - 60) for step in range(60)]
    size = 200.0
    readings = []
    for at in times:
        size += mib_per_hour / 60 - (100 if at == drop_at else 0)
        readings.append((at, size * MIB))
    past.recall(subject, "rss", readings)


def test_the_slope_is_per_hour_and_survives_recycling() -> None:
    past = Windows(NEEDED)
    grows(past, Subject("uwsgi.worker", "web/1"), 12.0, drop_at=1000.0 - 1800)
    row = rows(past=past).uwsgi[0].workers[0]
    assert not isinstance(row.sizes.slope, Unknown)
    assert row.sizes.slope * 3600 == pytest.approx(12 * MIB, rel=0.03)
    assert "+11.78 MiB" in text(rows(past=past))


def test_a_slope_of_too_few_readings_is_unknown_not_zero() -> None:
    past = Windows(NEEDED)
    past.recall(Subject("uwsgi.worker", "web/1"), "rss", [(990.0 + step, 1.0) for step in range(9)])
    sizes = rows(past=past).uwsgi[0].workers[0].sizes
    assert isinstance(sizes.slope, Unknown)
    assert SLOPE.window_s == 3600.0


def test_requests_per_second_lie_between_two_looks() -> None:
    before, now = look(), look(1004.0, uwsgi=four_workers(requests=50))
    found = rows(now, before).uwsgi[0]
    assert (found.rate, [row.rate for row in found.workers][:2]) == (12.5, [12.5, 0.0])
    assert "requests/s 12.5" in text(rows(now, before))


def test_after_a_full_reload_the_rate_is_unknown_not_negative() -> None:
    before, now = look(uwsgi=four_workers(requests=50)), look(1004.0)
    found = rows(now, before).uwsgi[0]
    assert isinstance(found.rate, Unknown)
    assert isinstance(found.workers[0].rate, Unknown)


def test_an_instance_that_was_unreadable_before_has_no_rate() -> None:
    found = rows(look(1004.0), look(uwsgi=Unreadable("it did not answer"))).uwsgi[0]
    assert isinstance(found.rate, Unknown)


def test_the_mode_is_that_of_the_ini() -> None:
    lazy = four_workers()._replace(conf=UwsgiConf("web", "/srv/uwsgi.ini", lazy_apps=True))
    threaded = lazy._replace(conf=replace(lazy.conf, threads=4))
    shown = [rows(look(uwsgi=one)).uwsgi[0].mode for one in (four_workers(), lazy, threaded)]
    assert shown == ["prefork", "lazy-apps", "lazy-apps, 4 threads each"]


def test_a_worker_that_never_ran_has_no_id() -> None:
    nothing = Unreadable("no such process under the master")
    never = worker(0, 1, identity=None, status="cheap", age_s=None, rss_bytes=nothing, memory=nothing)
    row = next(line for line in text(rows(look(uwsgi=uwsgi(worker(1, 201), never)))).splitlines() if "cheap" in line)
    assert row.split()[:3] == ["-", "-", "cheap"]


def test_the_sums_are_those_of_the_workers() -> None:
    reading = uwsgi(worker(1, 201), worker(2, 202, memory=memory(5, 4, read_at=970.0)))
    sizes = rows(look(uwsgi=reading)).uwsgi[0].sizes
    assert sizes is not None
    assert (sizes.rss, sizes.pss, sizes.uss, sizes.swap) == (100 * MIB, 50 * MIB, 44 * MIB, 0)
    assert sizes.read_age == 30.0


def test_diagnoses_stand_beside_their_subject_and_nothing_else_is_bad() -> None:
    fatal = ProgramReading("celery", "FATAL", None, "can't find command 'celery'", 0.0)
    found = rows(
        look(supervisor=daemon(DAPHNE, fatal), incidents={"uwsgi.worker:web/2": ("worker-too-big",), "host": ("full",)})
    )
    bad = [line.text for line in all_lines(page(found, "id", WIDE, UTC)) if line.is_bad]
    assert [(line.split()[0], line.split()[-1]) for line in bad] == [
        ("2", "worker-too-big"),
        ("celery", "program-fatal"),
        ("host:", "full"),
    ]
    assert not any(line.is_bad for line in all_lines(page(rows(), "id", WIDE, UTC)))
    assert "worker-too-big" in text(found, 60), "a diagnosis is among the last to make room"


def test_what_outlived_its_daemon_is_a_row_of_its_own() -> None:
    child = ChildRecord("daphne", Identity(333, 9), 333, Identity(99, 1))
    orphan = OrphanReading(child, "daphne -p 8001", 70 * MIB, 50.0, None)
    (row,) = rows(look(supervisor=daemon(orphans=(orphan,)))).supervisor[0].programs
    assert (row.name, row.state, row.pid, row.diagnoses) == ("daphne", "orphan", 333, ("orphan",))


HOSTILE = ["\x1b]0;owned\x07", "a\nb\rc", "\u202egnp.exe", "\udce4\udcff", "\x9b31m", "界" * 400, "e\u0301" * 500, ""]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("width", [40, 200])
def test_a_stranger_s_name_is_only_text(name: str, width: int) -> None:
    hostile = DAPHNE._replace(name=name, state=name)
    reading = uwsgi(worker(1, 201, status=name))._replace(version=name, conf=UwsgiConf("web", name))
    found = rows(
        look(
            uwsgi=reading,
            supervisor=daemon(hostile),
            others={"web": (Other(name, 5, 1, 1.0),)},
            agent=name,
            incidents={"host": (name,)},
        )
    )
    for line in all_lines(page(found, "id", width, UTC)):
        assert line.text.isprintable()
        assert cells(line.text) <= width
        assert "daphne" not in line.text
    assert json.loads(json.dumps(as_document(found)))["uwsgi"][0]["version"] == name


def test_the_document_has_base_units_and_null_for_unknown() -> None:
    document = as_document(rows())
    (web,), (main,) = document["uwsgi"], document["supervisor"]
    assert (web["ini"], web["master"], web["workers"], web["rate"]) == ("/srv/uwsgi.ini", 50, 4, None)
    first, fourth = web["worker"][0], web["worker"][3]
    assert (first["id"], first["pid"], first["rss"], first["uss"], first["slope"]) == (
        1,
        201,
        300 * MIB,
        270 * MIB,
        None,
    )
    assert (fourth["pid"], fourth["rss"], fourth["uss"], fourth["age"]) == (None, None, None, None)
    assert [other["what"] for other in web["other"]] == ["master", "uWSGI http 1"]
    assert (main["conf"], main["program"][0]["pss"], main["program"][0]["processes"]) == (
        "/srv/supervisord.conf",
        80 * MIB,
        2,
    )
    assert document["host"]["memory.total"] == 32 * GIB
    assert (document["host"]["swap.total"], document["unknown"]) == (2 * GIB, {})
    json.dumps(document)


def test_an_unreadable_instance_has_the_same_keys() -> None:
    readable = as_document(rows())["uwsgi"][0]
    unreadable = as_document(rows(look(uwsgi=Unreadable("why"))))["uwsgi"][0]
    assert set(unreadable) | {
        "accepting",
        "booting",
        "busy",
        "harakiris",
        "idle",
        "listen_queue",
        "respawns",
        "workers",
    } == set(readable)


def test_psi_and_swap_that_are_not_there() -> None:
    bare = HostReading(32 * GIB, 20 * GIB, 0, 0, 0, NO_PSI, NO_PSI, NO_PSI)
    assert "used (37.5 %)  no swap  PSI -  load" in text(rows(look(host=bare)))


@pytest.mark.parametrize(
    ("key", "then"),
    [
        ("r", Stance("rss")),
        ("p", Stance("pss")),
        ("u", Stance("uss")),
        ("s", Stance("slope")),
        ("R", Stance("requests")),
        ("i", Stance("id")),
        (" ", Stance("id", 5, is_paused=True)),
        ("h", Stance("id", 0, is_helping=True)),
        ("?", Stance("id", 0, is_helping=True)),
        ("up", Stance("id", 4)),
        ("down", Stance("id", 6)),
        ("page-down", Stance("id", 14)),
        ("page-up", Stance("id", 0)),
        ("end", Stance("id", 20)),
        ("home", Stance("id", 0)),
        ("x", Stance("id", 5)),
        ("q", None),
    ],
)
def test_keys(key: str, then: Stance | None) -> None:
    assert pressed(Stance("id", 5), key, 10, 30) == then


def test_the_help_scrolls_any_other_key_ends_it_and_q_quits_from_it() -> None:
    helped = Stance("rss", 5, is_helping=True)
    assert pressed(helped, "down", 10, 30) == Stance("rss", 6, is_helping=True)
    assert pressed(helped, "r", 10, 30) == Stance("rss")
    assert pressed(helped, "q", 10, 30) is None


@pytest.mark.parametrize("width", [1, 20, 60, 200])
def test_the_help_fits_and_names_every_sort(width: int) -> None:
    lines = helping(width)
    assert all(len(line.text) <= width for line in lines)
    words = " ".join(" ".join(line.text for line in lines).split())
    if width >= 20:
        assert all(f"{key} " in words for key in SORT_KEYS)
        assert set(SORT_KEYS.values()) == {*SORTS, "id"}


def test_a_smaller_table_or_a_larger_terminal_is_not_scrolled_past_its_end() -> None:
    assert scrolled(Stance(offset=25), 10, 12).offset == 2
    assert scrolled(Stance(offset=25), 50, 12).offset == 0


def test_the_footer_says_the_order_and_the_pause() -> None:
    assert footer(Stance("uss", is_paused=True)).startswith("PAUSED  by uss")


def test_the_head_of_a_table_stays_in_sight() -> None:
    body = [Line("title", Kind.TITLE), Line("head", Kind.HEAD), *(Line(f"row {n}") for n in range(9)), Line("")]
    assert [line.text for line in window(body, 0, 3)] == ["title", "head", "row 0"]
    assert [line.text for line in window(body, 5, 3)] == ["head", "row 4", "row 5"]
    assert [line.text for line in window(body, 11, 3)] == [""]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0s"), (59.6, "1m"), (3599.0, "59m59s"), (3661.0, "1h1m"), (93784.0, "1d2h")]
)
def test_ages_have_two_units_at_most(seconds: float, shown: str) -> None:
    assert age_text(seconds) == shown


def test_a_cut_text_never_has_half_a_wide_letter() -> None:
    assert printable("界界界", 5) == "界界"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Rollups, list[int], dict[Identity, int]]]:
    """Rollups over eight processes of a folder as /proc, each of which costs one second of CPU time."""
    read: list[int] = []
    resident = {Identity(pid, pid): 40 << 20 for pid in range(1, 9)}
    for one in resident:
        folder = tmp_path / str(one.pid)
        folder.mkdir()
        rest = " ".join(["S", "1", "1", "1", *["0"] * 15, str(one.start_ticks), "0", "10240", *["0"] * 20])
        (folder / "stat").write_text(f"{one.pid} (uwsgi) {rest}")
        (folder / "smaps_rollup").write_text("head\nRss: 40960 kB\nPss: 30720 kB\nPrivate_Dirty: 20480 kB\n")

    class Costs(Proc):
        def rollup(self, pid: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
            read.append(pid)
            return super().rollup(pid)

    monkeypatch.setattr(clock, "cpu", lambda: float(len(read)))
    yield Rollups(Costs(str(tmp_path)), 0.5, math.inf), read, resident


def test_the_first_look_reads_everything_and_the_next_ones_keep_to_their_share(
    fleet: tuple[Rollups, list[int], dict[Identity, int]],
) -> None:
    rollups, read, resident = fleet
    rollups.refresh(resident, 0.0)
    assert sorted(read) == list(range(1, 9))
    assert all(isinstance(rollups.of(one), MemoryReading) for one in resident)
    read.clear()
    for at in range(1, 17):
        rollups.refresh(resident, float(at))
    assert sorted(read) == list(range(1, 9)), "half a second for each look, a second for each process: 8 in 16 looks"
