"""The worked policies of docs/policies.md pass their own tests and use every field; every shipped policy is proven."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from paramedic import schedule
from paramedic.cli.test import read_tests
from paramedic.model.policy import IsUnknown, Policy, leaves
from paramedic.model.record import Phase, Slot, Truth
from paramedic.policy.schema import FIELDS
from paramedic.rehearsal import Played, failure, play
from paramedic.rehearsal.play import Row
from paramedic.rulebook import files_of, load_files, shipped_policies

DOCS = Path(__file__).parents[2] / "docs"
SECTION = re.compile(r"^## \d+\. (.+?)\n(.*?)(?=^## )", re.M | re.S)
BLOCK = re.compile(r"```yaml\n(.*?)```", re.S)
SECTIONS = {title: BLOCK.findall(body) for title, body in SECTION.findall((DOCS / "policies.md").read_text())}
WORDS = ("avg(", "max(", "slope(", "forecast(", "all(", "any(", "count(", "sum(", "is unknown", "2 * ", "owner is")
SHIPPED = load_files(files_of(["shipped"]))


def played(policies: str, tests: str, folder: Path) -> list[Played]:
    """The tests of a section of the docs, run as `paramedic test` runs them."""
    (folder / "policies.yaml").write_text(policies)
    (folder / "tests.yaml").write_text(f"policies: policies.yaml\n{tests}")
    found, errors = read_tests(folder / "tests.yaml")
    assert errors == []
    return [play(one) for one in found]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Played]]:
    """The tests of every section, played."""
    folder = tmp_path_factory.mktemp("worked")
    return {title: played(policies, tests, folder) for title, (policies, tests) in SECTIONS.items()}


def acts(one: Played) -> int:
    """How often something is done in a test."""
    return sum(row.act is not None for rows in one.rows.values() for row in rows)


def test_there_are_fifteen_and_they_use_every_field_and_every_function() -> None:
    assert len(SECTIONS) >= 15
    texts = "".join(policies for policies, _ in SECTIONS.values())
    used = set(re.findall(r"^(?:  - |    )(\w+):", texts, re.M))
    assert set(FIELDS) - used == set()
    assert [word for word in (*WORDS, "name in", "within:", "say:", "{subject}") if word not in texts] == []


@pytest.mark.parametrize("title", SECTIONS)
def test_each_passes_its_own_tests_and_acts_in_one_and_does_nothing_in_another(
    worked: Mapping[str, Sequence[Played]], title: str
) -> None:
    assert [failure(one) for one in worked[title] if one.failures] == []
    assert any(acts(one) for one in worked[title])
    assert any(acts(one) == 0 for one in worked[title])


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


def test_every_shipped_timeline_test_passes(shipped: Sequence[Played]) -> None:
    assert [failure(one) for one in shipped if one.failures] == []
    assert len(shipped) >= 37


@pytest.mark.parametrize("policy", SHIPPED, ids=lambda policy: policy.name)
def test_every_shipped_policy_is_shown_to_fire_clear_hold_and_leave_alone(
    shipped: Sequence[Played], policy: Policy
) -> None:
    mine = [(one, rows) for one in shipped for (name, _), rows in one.rows.items() if name == policy.name]
    every = [row for _, rows in mine for row in rows]
    shown = {
        "it fires": any(row.act for row in every),
        "it clears": any(_clears(rows) for _, rows in mine),
        "nothing but no, and nothing done": any(_leaves_alone(one, policy, rows) for one, rows in mine),
        "unknown": not _can_be_unknown(policy) or any(row.verdict == Truth.UNKNOWN for row in every),
        "it cools": not policy.cooldown_s or any(row.hold and row.hold.guard == "cooling" for row in every),
    }
    assert [what for what, is_shown in shown.items() if not is_shown] == []


def _clears(rows: Sequence[Row]) -> bool:
    states = [row.state for row in rows]
    return Phase.FIRING in states and Phase.QUIET in states[states.index(Phase.FIRING) :]


def _leaves_alone(one: Played, policy: Policy, rows: Sequence[Row]) -> bool:
    """It was asked, and said no every time: "cannot tell" and "not for long enough" are other reasons to do nothing."""
    verdicts = {row.verdict for row in _asked(one, policy, rows)}
    return verdicts == {Truth.NO} and all(row.state == Phase.QUIET for row in rows)


def _asked(one: Played, policy: Policy, rows: Sequence[Row]) -> list[Row]:
    """The looks that count: every one, or those at the policy's time."""
    if policy.at is None:
        return [*rows]
    found: list[Row] = []
    slots: dict[str, Slot] = {}
    for row in rows:
        step = sum(by for at, by in one.rehearsal.clock if at <= row.at_s)
        wall = one.rehearsal.start.timestamp() + row.at_s + step
        slots, due = schedule.step([policy], slots, wall, one.rehearsal.zone, "test")
        found += [row] if due else []
    return found


def _can_be_unknown(policy: Policy) -> bool:
    """A condition that only asks what cannot be read always has an answer."""
    return not all(isinstance(leaf, IsUnknown) for leaf in leaves(policy.when))
