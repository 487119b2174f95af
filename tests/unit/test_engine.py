"""engine.py: rounds, persons, calendars and holds, over the passes of one mind."""

from __future__ import annotations

from dataclasses import replace

from paramedic.engine import Stance, Thought, think
from paramedic.mind import Mind, adopted, book_of, intent, recalled
from paramedic.model.facts import Unknown, Value
from paramedic.model.policy import Policy
from paramedic.model.record import Attempt, Orders, Pause, Phase, Status
from paramedic.policy.language import parse_condition
from paramedic.windows import Windows
from unit.builders import MIB, WEB, facts, policy, subject

ALONE = policy(when="uss > 100 MiB", cooldown_s=60.0)
DARK = Unknown("no answer")
NIGHT = 1_700_011_800.0 - 1_700_001_005.0 - 3.0
"""Moves the wall clock so that half past one in the morning lies between the first look and the second."""


class Life:
    """A mind that looks again and again at web with some USS in MiB."""

    def __init__(self, *policies: Policy, wall: float = 0.0) -> None:
        self.policies, self.mind, self.now, self.count = policies, Mind(), 1000.0, 0
        self.orders, self.wall, self.thought = Orders(), wall, Thought(Mind(), {}, (), (), (), (), ())

    def look(self, uss: float | Unknown, step_s: float = 5.0, times: int = 1) -> Life:
        """Some passes."""
        for _ in range(times):
            self.now += step_s
            value: Value = uss if isinstance(uss, Unknown) else uss * MIB
            web = subject(WEB, {"uss": value, "baseline_uss": 10 * MIB, "diagnosis": "ok"})
            seen = facts(web, at=self.now)
            seen = replace(seen, wall=seen.wall + self.wall)
            stance = Stance(orders=self.orders)
            self.thought = think(self.mind, book_of(self.policies), seen, Windows(), stance)
            begun: list[Attempt] = []
            for act in self.thought.acts:
                self.count += 1
                begun.append(replace(intent(act, self.thought.mind, seen, self.now), id=self.count))
            self.mind = replace(self.thought.mind, attempts=(*self.thought.mind.attempts, *begun))
        return self

    def end(self, status: Status) -> Life:
        """What is under way ends a moment later."""
        self.now += 1.0
        ended = [replace(a, status=status, finished=self.now) if a.status.is_open else a for a in self.mind.attempts]
        self.mind = replace(self.mind, attempts=tuple(ended))
        return self

    @property
    def incident(self) -> str:
        """The open one."""
        return next((one.id for one in self.mind.incidents.values()), "")

    @property
    def guards(self) -> list[str]:
        """What holds."""
        return [hold.guard for hold in self.mind.holds.values()]


def gave_up() -> Life:
    """One missed reload, and nothing left to do."""
    life = Life(ALONE).look(500).end(Status.MISSED).look(500)
    assert (life.count, life.guards) == (1, ["gave up"])
    return life


def test_a_new_round_is_a_new_incident_with_the_ladder_begun_anew() -> None:
    life = gave_up()
    first = life.incident
    life.look(500, 500.0)
    assert (life.count, life.incident) == (1, first)
    life.look(500, 101.0)
    assert life.incident != first
    assert [(one.id, one.result) for one in life.thought.changed if one.closed] == [(first, "gave up")]
    assert life.count == 2
    assert next(iter(life.mind.incidents.values())).round == 2


def test_no_new_round_while_a_person_has_it_or_it_cannot_be_told() -> None:
    taken = gave_up()
    first = taken.incident
    taken.orders = Orders(None, {first: "mine"})
    taken.look(500, 700.0)
    assert (taken.count, taken.incident) == (1, first)
    dark = gave_up().look(DARK, 700.0, 3)
    assert (dark.count, dark.guards) == (1, ["unknown"])
    paused = gave_up()
    paused.orders = Orders(Pause("deploying", 0.0, 9e12))
    paused.look(500, 700.0, 3)
    assert (paused.count, paused.guards) == (1, ["paused"])


def test_an_acknowledged_incident_is_not_replaced_after_it_could_not_be_told() -> None:
    life = gave_up()
    first = life.incident
    life.look(DARK, 700.0)
    life.orders = Orders(None, {first: "mine"})
    life.look(500, 5.0, 3)
    assert (life.count, life.incident, life.guards) == (1, first, ["acknowledged"])


def test_nobody_hears_of_the_end_of_what_was_a_persons() -> None:
    life = Life(policy("notify", when="uss > 100 MiB")).look(500).end(Status.MET).look(500)
    life.orders = Orders(Pause("deploying", 0.0, 9e12))
    life.look(50)
    assert (life.incident, life.thought.events) == ("", ())


def test_a_breaker_that_is_open_is_told_once_however_often_it_flaps() -> None:
    flapping = replace(ALONE, cooldown_s=0.0)
    life, told = Life(flapping), 0
    for _ in range(8):
        life.look(500)
        told += sum(event.name == "gave up" for event in life.thought.events)
        life.end(Status.MET).look(50)
    assert (life.count, told) == (3, 1)


def test_a_calendar_policy_carries_on_in_its_night_and_not_at_noon() -> None:
    nightly = policy("chain_reload chain_reload", when="uss > 100 MiB", at="30 1 * * *", cooldown_s=0.0)
    life = Life(nightly, wall=NIGHT).look(500).look(500)
    assert life.count == 1
    life.end(Status.MISSED).look(500)
    assert life.count == 2, "it climbs on while it is needed"
    again = Life(nightly, wall=NIGHT).look(500).look(500)
    left = [replace(a, status=Status.RUNNING) for a in again.mind.attempts]
    again.now += 8 * 3600.0
    again.mind, _ = recalled(list(again.mind.incidents.values()), left, again.mind.slots, [nightly], again.now, 1)
    again.look(500, 5.0, 20)
    assert (again.count, again.incident) == (1, "")


def test_what_a_calendar_policy_began_under_other_words_is_not_taken_for_a_yes() -> None:
    before = policy("notify", when="uss > 100 MiB", at="30 1 * * *")
    life = Life(before, wall=NIGHT).look(500).look(500)
    assert life.count == 1
    after = policy("chain_reload", when="uss > 100 MiB", at="30 1 * * *", cooldown_s=0.0)
    life.mind, _ = adopted(life.mind, [before], [after], life.now)
    life.policies = (after,)
    life.look(DARK, 5.0, 3)
    assert life.count == 1


def test_a_night_that_something_held_is_not_called_cleared() -> None:
    nightly = policy(when="uss > 100 MiB", at="30 1 * * *", cooldown_s=3600.0)
    life = Life(nightly, wall=NIGHT)
    life.look(500)
    life.mind = replace(life.mind, restarts={WEB: life.now - 60.0})
    life.look(500)
    assert life.guards == ["cooling"]
    life.look(500)
    assert [(one.result, one.closed is not None) for one in life.thought.changed] == [("not done", True)]
    assert [event.name for event in life.thought.events] == ["not done"]


def test_a_firing_policy_that_turns_unknown_says_so() -> None:
    life = Life(ALONE).look(500).end(Status.MET).look(500).look(DARK)
    assert life.guards == ["unknown"]
    assert next(iter(life.mind.rules.values())).phase is Phase.FIRING
    (hold,) = life.mind.holds.values()
    assert hold.reason == "it cannot be told: uss is unknown (no answer)"


def skipped(life: Life) -> dict[str, tuple[str, str]]:
    """What the last pass called not needed or not to be told: subject -> (truth, evidence)."""
    return {str(subject): (v.truth.value, v.evidence) for (_, subject), v in life.thought.skipped.items()}


NIGHTLY = policy(when="uss > 100 MiB", at="30 1 * * *", cooldown_s=0.0)


def test_a_night_that_finds_nothing_to_do_is_said_once_with_its_reason() -> None:
    life = Life(NIGHTLY, wall=NIGHT).look(50)
    assert skipped(life) == {}, "it was not asked yet"
    assert skipped(life.look(50)) == {"uwsgi:web": ("no", "uss is 50 MiB")}
    assert life.thought.events == ()
    assert skipped(life.look(50)) == {}
    assert skipped(life.look(50, 86400.0 - 5.0)) == {"uwsgi:web": ("no", "uss is 50 MiB")}, "and the next one, too"


def test_a_night_that_cannot_be_told_is_not_called_needless() -> None:
    found = skipped(Life(NIGHTLY, wall=NIGHT).look(50).look(DARK))
    assert found == {"uwsgi:web": ("unknown", "uss is unknown (no answer)")}


def test_a_night_that_acts_or_is_held_is_not_skipped() -> None:
    life = Life(NIGHTLY, wall=NIGHT).look(500).look(500)
    assert (life.count, skipped(life)) == (1, {})
    held = Life(replace(NIGHTLY, cooldown_s=3600.0), wall=NIGHT).look(500)
    held.mind = replace(held.mind, restarts={WEB: held.now - 60.0})
    assert (held.look(500).guards, skipped(held)) == (["cooling"], {})


def test_only_calendars_skip_and_only_what_they_watch() -> None:
    assert skipped(Life(replace(NIGHTLY, at=None), wall=NIGHT).look(50, times=3)) == {}
    elsewhere = replace(NIGHTLY, where=parse_condition("name is api", "uwsgi"))
    assert skipped(Life(elsewhere, wall=NIGHT).look(50).look(50)) == {}
