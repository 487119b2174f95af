"""replay.py: the same engine over recorded samples; what happened keeps its outcome, what did not is only observed."""

from __future__ import annotations

from dataclasses import replace

from paramedic.engine import Stance
from paramedic.model.facts import Facts, Unknown
from paramedic.model.policy import Limit
from paramedic.model.record import Attempt, Status
from paramedic.replay import Replayed, replay
from unit.builders import HOST, MIB, WEB, attempt, facts, policy, subject

GROWN = policy(when="uss > 100 MiB", cooldown_s=600.0, limit=Limit(9, 3600.0), for_s=10.0)


def day(*sizes: int | None, every_s: float = 5.0) -> list[Facts]:
    """One sample for each size in MiB of web; None is unreadable."""
    found = []
    for number, size in enumerate(sizes):
        uss = Unknown("no answer") if size is None else size * MIB
        web = subject(WEB, {"uss": uss, "baseline_uss": 10 * MIB, "diagnosis": "ok"})
        found.append(facts(web, subject(HOST, {"memory.total": 1000 * MIB}), at=1000.0 + number * every_s))
    return found


def run(samples: list[Facts], *happened: Attempt, of: object = GROWN) -> Replayed:
    """The replay of one policy."""
    return replay([of], samples, happened, Stance())  # type: ignore[list-item]


def did(at: Facts, status: Status, **more: object) -> Attempt:
    """What the record says was done then."""
    made = attempt(status, started=at.wall, started_wall=at.wall, finished=at.wall + 4.0, detail="so it was")
    return replace(made, **more)  # type: ignore[arg-type]


def test_it_says_what_would_have_been_done_when_and_why() -> None:
    samples = day(50, 150, 150, 150, 150, 50)
    found = run(samples)
    (would,) = found.would
    assert (would.wall, would.action, would.target, would.why, would.did) == (
        samples[3].wall,
        "chain_reload",
        WEB,
        "uss is 150 MiB",
        None,
    )
    assert (found.passes, found.first, found.last, found.incidents) == (6, samples[0].wall, samples[5].wall, 1)


def test_unknown_would_do_nothing() -> None:
    assert run(day(150, 150, *[None] * 50, 50)).would == ()


def test_what_happened_is_recognised_and_keeps_its_outcome() -> None:
    samples = day(50, *[150] * 30, 50)
    ladder = replace(GROWN, do=(*GROWN.do, *policy("notify").do))
    missed = did(samples[4], Status.MISSED)
    found = run(samples, missed, of=ladder)
    assert [(one.action, one.did is missed) for one in found.would] == [("chain_reload", True), ("notify", False)]
    assert found.missing == ()
    met = run(samples, did(samples[4], Status.MET), of=ladder)
    assert [one.action for one in met.would] == ["chain_reload", "notify"], "it was met, and did not help"
    hypothetical = run(samples, of=ladder)
    assert [one.action for one in hypothetical.would] == ["chain_reload"], "nobody knows whether it would have helped"


def test_what_happened_and_would_not_is_missing() -> None:
    samples = day(*[50] * 10)
    happened = did(samples[4], Status.MET)
    other = did(samples[4], Status.MET, started_wall=samples[0].wall - 500.0)
    assert run(samples, happened, other).missing == (happened,), "what was before the samples is no difference"
    elsewhere = did(samples[4], Status.MET, policy="q")
    assert run(samples, elsewhere).missing == (), "what other policies did is not theirs to answer for"


def test_each_recorded_action_is_found_once() -> None:
    samples = day(50, *[150] * 5, *[50] * 5, *[150] * 5)
    quick = replace(GROWN, cooldown_s=0.0)
    found = run(samples, did(samples[3], Status.MET), of=quick)
    assert [one.did is not None for one in found.would] == [True, False]


def test_cooldowns_and_limits_count_what_would_have_been_done() -> None:
    flapping = day(*([150] * 5 + [50] * 2) * 20)
    assert len(run(flapping).would) == 2, "700 s with a cooldown of 600"
    limited = replace(GROWN, cooldown_s=0.0, limit=Limit(3, 3600.0))
    found = run(flapping, of=limited)
    assert len(found.would) == 3
    assert {held.guard for held in found.held} == {"limit"}


def test_time_goes_on_over_a_reboot_and_an_hour_that_nobody_saw_fires_nothing() -> None:
    before = day(50, 150, 150)
    after = [replace(one, monotonic=5.0 + n * 5, wall=one.wall + 3600.0) for n, one in enumerate(day(*[150] * 10))]
    found = run([*before, *after], of=replace(GROWN, for_s=60.0))
    assert [one.wall for one in found.would] == [after[8].wall], "5 s before, 15 s of the gap, the rest after"


def test_nothing_comes_of_nothing() -> None:
    assert run([]) == Replayed(0, 0.0, 0.0, (), (), (), 0)
