"""What attackers of the engine found, each as the night in which it went wrong, played as `paramedic test` plays."""

from __future__ import annotations

from pathlib import Path

import pytest

from paramedic.cli.test import read_tests
from paramedic.rehearsal import failure, play

WORKER = """
policies:
  - name: p
    watch: uwsgi
    when: {when}
    {more}
    do: {do}
"""
NIGHTS: dict[str, tuple[str, str, str, str]] = {
    "what cannot be read any more is not acted on because `clear` names another field": (
        "rss > 600 MiB",
        "clear: requests < 10\n    only: 01:00-02:00",
        "[chain_reload]",
        """
    interval: 1m
    start: "2026-01-05 00:55"
    series: { uwsgi:web: { diagnosis: ok, rss: "700MiBx3 ?x20", requests: 500 } }
    expect:
      - { at: 2m, hold: only, verdict: "yes" }
      - { at: 6m, verdict: unknown, state: firing, hold: unknown }
""",
    ),
    "between the limits no ladder begins": (
        "rss > 600 MiB",
        "clear: requests < 10\n    only: 01:00-02:00",
        "[chain_reload]",
        """
    interval: 1m
    start: "2026-01-05 00:55"
    series: { uwsgi:web: { diagnosis: ok, rss: "700MiBx3 10MiBx10 700MiB", requests: 500 } }
    expect:
      - { at: 4m, hold: between, verdict: "yes" }
      - { at: 6m, hold: between }
      - { at: 13m, act: chain_reload }
""",
    ),
    "an average that still remembers the time before the reload proves nothing about it": (
        "avg(rss, 5m) > 600 MiB",
        "cooldown: 1m",
        "[chain_reload, notify]",
        """
    interval: 30s
    series: { uwsgi:web: { diagnosis: ok, rss: "700MiBx13 100MiBx40" } }
    outcome: { chain_reload: met after 1m }
    expect:
      - { at: 5m, act: chain_reload }
      - { at: 6m30s, hold: settling }
      - { at: 12m, act: none, state: quiet }
""",
    ),
    "one peak is answered once, not again and again while its window lasts": (
        "max(rss, 30m) > 600 MiB",
        "cooldown: 1m",
        "[chain_reload]",
        """
    interval: 1m
    series: { uwsgi:web: { diagnosis: ok, rss: "100MiBx31 900MiB 100MiBx60" } }
    outcome: { chain_reload: met after 1m }
    expect:
      - { at: 31m, act: chain_reload }
      - { at: 45m, hold: settling }
      - { at: 1h20m, act: none, state: quiet }
""",
    ),
    "a slope of what cannot be read now is unknown": (
        "slope(rss, 1h) > 50 MiB/h",
        "for: 20m",
        "[chain_reload]",
        """
    interval: 1m
    series: { uwsgi:web: { diagnosis: ok, rss: "100MiB..140MiBx18 ?x60" } }
    expect:
      - { at: 17m, verdict: "yes", state: pending }
      - { at: 20m, verdict: unknown, state: pending }
      - { at: 1h, verdict: unknown, state: pending, act: none }
""",
    ),
    "the first tooth of a saw is not forecast to the sky": (
        "forecast(rss, 1h) > 4 GiB",
        "cooldown: 1m",
        "[chain_reload]",
        """
    interval: 1m
    series: { uwsgi:web: { diagnosis: ok, rss: "1GiB..2GiBx10 1GiB..2GiBx10 1GiB..2GiBx10 1GiB..2GiBx10 1GiB" } }
    expect:
      - { at: 15m, verdict: unknown, act: none }
      - { at: 45m, verdict: "no" }
""",
    ),
    "a night's work that cannot be told about stays where it is and is not taken up at noon": (
        "rss > 600 MiB",
        'at: "30 3 * * *"',
        "[chain_reload]",
        """
    interval: 1m
    start: "2026-01-05 03:25"
    series: { uwsgi:web: { diagnosis: ok, rss: "700MiBx7 ?x30 700MiBx900" } }
    outcome: { chain_reload: missed after 20m }
    expect:
      - { at: 5m, act: chain_reload }
      - { at: 10m, verdict: unknown, state: firing }
      - { at: 26m, state: quiet }
      - { at: 9h, state: quiet }
""",
    ),
    "a notice does not wait for the breaker, and is no attempt": (
        "rss > 600 MiB",
        "limit: 1 per 1h\n    cooldown: 1m",
        "[chain_reload, notify]",
        """
    interval: 1m
    series: { uwsgi:web: { diagnosis: ok, rss: 700MiBx8 } }
    outcome: { chain_reload: missed after 2m }
    expect:
      - { at: 0s, act: chain_reload }
      - { at: 2m, act: notify }
""",
    ),
}


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night_that_once_went_wrong(name: str, tmp_path: Path) -> None:
    when, more, do, body = NIGHTS[name]
    (tmp_path / "policies.yaml").write_text(WORKER.format(when=when, more=more, do=do))
    (tmp_path / "tests.yaml").write_text(f'policies: policies.yaml\ntests:\n  - name: "{name}"{body}')
    found, errors = read_tests(tmp_path / "tests.yaml")
    assert errors == []
    for one in found:
        played = play(one)
        assert not played.failures, failure(played)
