"""facts/advice.py: each piece of advice where it is due and nowhere else, and docs/advice.md held to it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paramedic.facts.advice import RULES, Advice, Audited, advise
from paramedic.model.stack import UwsgiConf, UwsgiEntry
from paramedic.sense.uwsgi_ini import read_uwsgi_conf
from paramedic.sense.uwsgi_magic import Launch

DOCS = Path(__file__).parents[2] / "docs" / "advice.md"
GOOD = UwsgiConf(
    "web",
    "/srv/app/web.ini",
    pidfile="/run/web.pid",
    stats="/run/web.stats",
    chain_reload="/srv/app/reload",
    module="shop.wsgi",
    lazy_apps=True,
    processes=4,
    threads=2,
    master=True,
    harakiri_s=30.0,
    max_requests=1000,
    max_requests_delta=100,
    need_app=True,
    die_on_term=True,
)
# rule -> (the option, what makes it due, what of the conf or the version makes it not due, the line)
DUE: dict[str, tuple[str, dict[str, Any], str]] = {
    "master": ("master", {"master": False}, "master = true"),
    "stats": ("stats", {"stats": None}, "stats = /run/web.stats"),
    "stats-over-tcp": ("stats", {"stats": "127.0.0.1:1717"}, "stats = /run/web.stats"),
    "lazy-apps": ("lazy-apps", {"lazy_apps": False}, "lazy-apps = true"),
    "touch-file-in-tmp": (
        "touch-chain-reload",
        {"chain_reload": "/tmp/reload"},
        "touch-chain-reload = /srv/app/reload",
    ),
    "touch-reload-in-tmp": ("touch-reload", {"touch_reload": ("/tmp/restart",)}, "touch-reload = /srv/app/restart"),
    "processes": ("processes", {"processes": 1}, "processes = 2"),
    "harakiri": ("harakiri", {"harakiri_s": None}, "harakiri = 60"),
    "worker-reload-mercy": ("worker-reload-mercy", {"harakiri_s": 300.0}, "worker-reload-mercy = 300"),
    "max-requests-delta": ("max-requests-delta", {"max_requests_delta": 0}, "max-requests-delta = 100"),
    "need-app": ("need-app", {"need_app": False}, "need-app = true"),
    "safe-pidfile": ("safe-pidfile", {"safe_pidfile": False}, "safe-pidfile = /run/web.pid"),
    "vacuum": ("vacuum", {"vacuum": True}, "vacuum = false"),
    "die-on-term": ("die-on-term", {"die_on_term": False}, "die-on-term = true"),
    "threads": ("threads", {}, "uwsgi>=2.0.28"),
}


def conf(**more: Any) -> UwsgiConf:
    """An ini without anything to say about, some of it replaced."""
    return replace(GOOD, **more)


def told(of: UwsgiConf, version: str = "2.0.30") -> list[str]:
    """The options of all advice."""
    return [advice.option for advice in advise(of, version)]


def test_a_good_ini_gets_no_advice() -> None:
    assert advise(GOOD, "2.0.28") == ()


@pytest.mark.parametrize("rule", RULES)
def test_each_advice_is_due_for_its_reason_and_is_alone(rule: str) -> None:
    option, change, line = DUE[rule]
    version = "2.0.26" if rule == "threads" else "2.0.30"
    (advice,) = advise(conf(**change), version)
    assert (advice.option, advice.line) == (option, line)
    assert RULES[rule](Audited(conf(**change), (2, 0, 26))) == advice


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("undecided", ["the option", "an include"])
def test_an_undecided_option_gets_no_advice(rule: str, undecided: str) -> None:
    option, change, _ = DUE[rule]
    name = {"safe-pidfile": "pidfile"}.get(option, option) if undecided == "the option" else "include"
    assert advise(conf(**change, undecided=(name,)), "2.0.26" if rule == "threads" else "2.0.30") == ()


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({"lazy_apps": False, "chain_reload": None}, []),
        ({"processes": 1, "chain_reload": None}, []),
        ({"processes": 1, "max_requests_delta": 0, "chain_reload": None}, []),
        ({"max_requests": None, "max_requests_delta": 0}, []),
        ({"harakiri_s": 60.0}, []),
        ({"harakiri_s": 90.0, "mercy_s": 90.0}, []),
        ({"need_app": False, "module": None}, []),
        ({"need_app": False, "module": None, "wsgi_file": "/srv/app.py"}, ["need-app"]),
        ({"safe_pidfile": False, "pidfile": None}, []),
        ({"vacuum": True, "pidfile": None}, ["vacuum"]),
        ({"die_on_term": False, "is_vassal": True}, []),
        ({"die_on_term": False, "is_vassal": False}, ["die-on-term"]),
        ({"touch_reload": ("/srv/a", "/var/tmp/a")}, ["touch-reload"]),
        ({"touch_reload": ("/tmp/a",), "chain_reload": "/tmp/a"}, ["touch-chain-reload", "touch-reload"]),
        ({"touch_reload": ("/tmpfiles/a",), "chain_reload": "/srv/tmp/a"}, []),
        ({"emperor": ("/vassals",), "master": False}, []),
    ],
)
def test_what_does_not_matter_is_not_told(change: dict[str, Any], options: list[str]) -> None:
    assert told(conf(**change)) == options


def test_a_touch_file_is_not_moved_into_tmp_again() -> None:
    found = advise(conf(ini="/tmp/app/uwsgi.ini", chain_reload="/tmp/app/reload"), "2.0.30")
    assert [one.line for one in found] == ["touch-chain-reload = /var/lib/web/reload"]


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("127.0.0.1:1717", "every user of this host"),
        ("localhost:1717", "every user of this host"),
        ("[::1]:1717", "every user of this host"),
        (":1717", "anybody who reaches :1717 over the network"),
        ("0.0.0.0:1717", "anybody who reaches 0.0.0.0:1717 over the network"),
        ("10.0.0.1:1717", "anybody who reaches 10.0.0.1:1717 over the network"),
    ],
)
def test_stats_for_the_network_are_worse(address: str, who: str) -> None:
    (advice,) = advise(conf(stats=address), "")
    assert who in advice.why


@pytest.mark.parametrize(
    ("version", "threads", "is_told"),
    [
        ("2.0.26", 2, True),
        ("2.0.21-debian", 2, True),
        ("2.0.28", 2, False),
        ("2.1-dev", 2, False),
        ("", 2, False),
        ("unknown", 2, False),
        ("2.0.26", 1, False),
    ],
)
def test_threads_depend_on_the_version_that_runs(version: str, threads: int, is_told: bool) -> None:
    assert ("threads" in told(conf(threads=threads), version)) is is_told


def test_an_unknown_version_silences_only_what_depends_on_it() -> None:
    assert told(conf(harakiri_s=None), "") == ["harakiri"]


def test_what_a_condition_may_set_is_not_advised_on_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "web.ini").write_text("[uwsgi]\nsocket = /s\nif-env = PROD\nharakiri = 3\nmaster = true\nendif =\n")
    read = read_uwsgi_conf(UwsgiEntry("web", f"{tmp_path}/web.ini"), Launch({}))
    assert told(read) == ["stats", "die-on-term"]


def test_the_docs_have_a_section_for_each_with_its_line_and_reason() -> None:
    parts = re.split(r"^## ", DOCS.read_text(), flags=re.MULTILINE)[1:]
    sections = {part.partition("\n")[0]: part for part in parts}
    assert list(sections) == list(RULES)
    for rule, (option, change, line) in DUE.items():
        advice = RULES[rule](Audited(conf(**change), (2, 0, 26)))
        assert isinstance(advice, Advice)
        assert f"`{line.partition('=')[0].rstrip(' >')}" in sections[rule], rule
        assert f"    {line}\n" in sections[rule], rule
        assert all(f"**{word}**" in sections[rule] for word in ("What", "Why")), rule
        assert option in sections[rule], rule
