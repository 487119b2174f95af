"""The ten policies of docs/policies.md pass their own tests and use every field; every shipped policy is proven."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from paramedic.cli.test import read_tests
from paramedic.model.policy import Policy
from paramedic.model.record import Phase, Truth
from paramedic.policy.schema import FIELDS
from paramedic.rehearsal import Played, failure, play
from paramedic.rehearsal.play import Row
from paramedic.rulebook import files_of, load_files, shipped_policies

DOCS = Path(__file__).parents[2] / "docs"
SECTION = re.compile(r"^## \d+\. (.+?)\n(.*?)(?=^## )", re.M | re.S)
BLOCK = re.compile(r"```yaml\n(.*?)```", re.S)
SECTIONS = {title: BLOCK.findall(body) for title, body in SECTION.findall((DOCS / "policies.md").read_text())}


def played(policies: str, tests: str, folder: Path) -> list[Played]:
    """The tests of a section of the docs, run as `paramedic test` runs them."""
    (folder / "policies.yaml").write_text(policies)
    (folder / "tests.yaml").write_text(f"policies: policies.yaml\n{tests}")
    found, errors = read_tests(folder / "tests.yaml")
    assert errors == []
    return [play(one) for one in found]


def acts(one: Played) -> int:
    """How often something is done in a test."""
    return sum(row.act is not None for rows in one.rows.values() for row in rows)


def test_there_are_ten_and_they_use_every_field_and_every_function() -> None:
    assert len(SECTIONS) >= 10
    texts = "".join(policies for policies, _ in SECTIONS.values())
    used = set(re.findall(r"^(?:  - |    )(\w+):", texts, re.M))
    assert set(FIELDS) - used == set()
    for word in ("avg(", "max(", "slope(", "forecast(", "all(", "count(", "is unknown", "2 * ", "owner is", "name in"):
        assert word in texts, word


@pytest.mark.parametrize("title", SECTIONS)
def test_each_passes_its_own_tests_and_acts_in_one(title: str, tmp_path: Path) -> None:
    policies, tests = SECTIONS[title]
    found = played(policies, tests, tmp_path)
    assert [failure(one) for one in found if one.failures] == []
    assert any(acts(one) for one in found)


def test_each_also_shows_when_nothing_is_done(tmp_path: Path) -> None:
    for title, (policies, tests) in SECTIONS.items():
        assert any(acts(one) == 0 for one in played(policies, tests, tmp_path)), title


def test_the_example_of_the_test_format_passes_and_its_failure_is_the_real_one(tmp_path: Path) -> None:
    text = (DOCS / "policy-tests.md").read_text()
    policies, tests = BLOCK.findall(text)[:2]
    assert [one.failures for one in played(policies, tests.partition("\n")[2], tmp_path)] == [(), ()]
    wrong = tests.partition("\n")[2].replace("at: 2m, act: chain_reload", "at: 1m, act: chain_reload")
    failed = [failure(one) for one in played(policies, wrong, tmp_path) if one.failures]
    shown = re.search(r"```console\n\$ paramedic test mine-test.yaml\n(FAIL.*?)\n\n1 passed, 1 failed\n```", text, re.S)
    assert shown is not None
    assert failed[0].replace(f"{tmp_path}/tests.yaml", "mine-test.yaml") == shown[1]


@pytest.fixture(scope="module")
def shipped() -> list[Played]:
    """Every shipped timeline test, played."""
    found: list[Played] = []
    for path in sorted((shipped_policies() / "tests").glob("*.yaml")):
        rehearsals, errors = read_tests(path)
        assert errors == []
        found += [play(one) for one in rehearsals]
    return found


def test_every_shipped_timeline_test_passes(shipped: list[Played]) -> None:
    assert [failure(one) for one in shipped if one.failures] == []
    assert len(shipped) > 30


def rows_of(shipped: Sequence[Played], name: str) -> list[Sequence[Row]]:
    """What each subject of a policy did in each test."""
    return [rows for one in shipped for (policy, _), rows in one.rows.items() if policy == name]


@pytest.mark.parametrize("policy", load_files(files_of(["shipped"])), ids=lambda policy: policy.name)
def test_every_shipped_policy_is_shown_to_fire_clear_and_hold(shipped: list[Played], policy: Policy) -> None:
    mine = rows_of(shipped, policy.name)
    assert any(row.act for rows in mine for row in rows), "it fires"
    assert any(_clears(rows) for rows in mine), "it clears"
    assert any(row.verdict == Truth.UNKNOWN for rows in mine for row in rows) or "unknown" in str(policy.when), (
        "unknown"
    )
    assert any(_leaves_alone(rows) for rows in mine), "it does nothing without need"
    if policy.cooldown_s:
        assert any(row.hold and row.hold.guard == "cooling" for rows in mine for row in rows), "it cools"


def _clears(rows: Sequence[Row]) -> bool:
    states = [row.state for row in rows]
    return Phase.FIRING in states and Phase.QUIET in states[states.index(Phase.FIRING) :]


def _leaves_alone(rows: Sequence[Row]) -> bool:
    """It never acts, and was not merely asleep: it was looked at and said no."""
    return not any(row.act for row in rows) and any(row.verdict == Truth.NO for row in rows)
