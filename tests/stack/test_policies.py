"""What a person does with policies on a running agent: change them, pause it, take over, ask why, and replay."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.processes import MARK
from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for

RELOAD = """
policies:
  - name: reload-on-age
    about: A policy that fires at once, to see what becomes of it.
    watch: uwsgi
    when: {when}
    do: [chain_reload]
    cooldown: {cooldown}
    limit: 20 per 1h
"""
NEVER = RELOAD.format(when="listen_queue > 100000", cooldown="1s")
ALWAYS = RELOAD.format(when="accepting > 1 and uptime > 0 s", cooldown="1h")


def rewrite(stack: EmbeddedStack, text: str) -> None:
    """Other policies, put in place as an editor or a deployment does."""
    path = stack.folder / "etc" / "policies.yaml"
    other = path.with_suffix(".new")
    other.write_text(text)
    os.replace(other, path)


def status(stack: EmbeddedStack) -> dict[str, Any]:
    """`paramedic status --json`."""
    found = stack.paramedic("status", "--json")
    return dict(json.loads(found.stdout)) if found.stdout else {}


def invalid(stack: EmbeddedStack) -> list[str]:
    """What status finds wrong with the policy files."""
    found = status(stack).get("findings", [])
    return [one["evidence"] for one in found if one["diagnosis"] == "policies-invalid"]


def test_changed_policies_are_taken_over_and_invalid_ones_are_not(stack: EmbeddedStack) -> None:
    stack.start_uwsgi()
    before = stack.worker_pids()
    stack.add_policies(NEVER)
    agent = stack.start_agent()
    rewrite(stack, "policies:\n  - name: reload-on-age\n    watch: uwsgy\n")
    first = wait_for("the finding", lambda: invalid(stack))
    assert any('cannot use "uwsgy" as watch' in one and "policies.yaml:3:12: " in one for one in first)
    assert stack.paramedic("status").returncode == 1
    assert stack.worker_pids() == before, "the old policies stay in force"
    rewrite(stack, ALWAYS)
    told = stack.incident("reload-on-age")
    assert told["subject"] == "uwsgi:web"
    wait_for("the new policy acts", lambda: not set(stack.worker_pids().values()) & set(before.values()), 30)
    assert invalid(stack) == []
    rewrite(stack, "policies: []\n")
    stack.incident("reload-on-age", "policy removed")
    (stack.folder / "etc" / "policies.yaml").unlink()
    wait_for("a missing file is a finding", lambda: "No such file" in str(invalid(stack)))
    rewrite(stack, NEVER)
    agent.send_signal(signal.SIGHUP)
    wait_for("it is mended", lambda: invalid(stack) == [])
    assert stack.stop(agent) == 0


def test_a_pause_holds_over_a_restart_and_ends_on_its_own_word(stack: EmbeddedStack) -> None:
    stack.start_uwsgi()
    before = stack.worker_pids()
    stack.add_policies(ALWAYS)
    stack.write_config()
    paused = stack.paramedic("pause", "10m", "--why", "deploying")
    assert paused.returncode == 0, paused.stderr
    assert "the pause holds for the next one" in paused.stdout
    agent = stack.start_agent()
    wait_for("it holds", lambda: status(stack).get("holds"))
    shown = status(stack)
    assert {(h["guard"], h["reason"]) for h in shown["holds"]} == {("paused", "paused: deploying")}
    assert shown["sentence"].startswith("paused until ")
    assert "(deploying): " in shown["sentence"]
    stack.stop(agent, signal.SIGKILL)
    stack.start_agent()
    wait_for("it holds again", lambda: status(stack).get("holds"))
    stays("nothing is done in a pause", lambda: stack.worker_pids() == before, 2.0)
    assert stack.notified() == [], "nobody is told in a pause"
    explained = stack.paramedic("explain", "reload-on-age", "uwsgi:web")
    assert "uwsgi:web: holds (paused): paused: deploying" in explained.stdout
    assert stack.paramedic("resume").stdout == "not paused\n"
    told = stack.incident("reload-on-age", deadline_s=20)
    wait_for("it acts now", lambda: not set(stack.worker_pids().values()) & set(before.values()), 30)
    held = stack.paramedic("history").stdout
    assert "(paused): paused: deploying" in held, held
    assert told["policy"] == "reload-on-age"


def test_an_incident_that_a_person_took_over_is_left_alone(stack: EmbeddedStack) -> None:
    stack.start_uwsgi()
    stack.add_policies(RELOAD.format(when="accepting > 1", cooldown="1s").replace("[chain_reload]", "[notify]"))
    stack.start_agent()
    incident = stack.incident("reload-on-age")
    wrong = stack.paramedic("ack", "no-such")
    assert wrong.returncode == 2
    assert incident["id"] in wrong.stderr
    taken = stack.paramedic("ack", incident["id"], "--why", "I am on it")
    assert (taken.returncode, "is yours: I am on it" in taken.stdout) == (0, True), taken.stderr

    def guards() -> list[str]:
        return [hold["guard"] for hold in status(stack).get("holds", []) if hold["policy"] == "reload-on-age"]

    wait_for("it is acknowledged", lambda: guards() == ["acknowledged"])
    assert stack.paramedic("resume", incident["id"]).returncode == 0
    wait_for("it is the agent's again", lambda: guards() == ["told"])


def test_explain_answers_value_by_value_with_and_without_an_agent(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    text = RELOAD.format(
        when="accepting > 99 or (count(worker.accepting is yes) >= 4 and avg(rss, 10m) > 1 MiB)", cooldown="1h"
    )
    stack.add_policies(text)
    stack.write_config()
    alone = stack.paramedic("explain", "reload-on-age")
    assert alone.returncode == 0, alone.stderr
    assert "this is one look without it" in alone.stdout
    agent = stack.start_agent()
    found = stack.paramedic("explain", "reload-on-age", "uwsgi:web")
    assert found.returncode == 0, found.stderr
    lines = [line.strip() for line in found.stdout.splitlines()]
    assert "reload-on-age: A policy that fires at once, to see what becomes of it." in lines
    assert "as the agent saw it in its last look" in lines
    assert "uwsgi:web: does nothing: it cannot be told, and unknown never acts" in lines
    assert "no      accepting > 99   accepting is 4" in lines
    assert "yes     count(worker.accepting is yes) >= 4   count(workers) is 4" in lines
    assert any(line.startswith("unknown avg(rss, 10m) > 1 MiB   avg(rss, 10m) is unknown (only ") for line in lines)
    assert "pass  paused" in lines
    assert "state     quiet" in lines
    document = json.loads(stack.paramedic("explain", "reload-on-age", "--json").stdout)
    assert document["explanations"][0]["conditions"]["when"]["truth"] == "unknown"
    missing = stack.paramedic("explain", "reload-on-rage")
    assert (missing.returncode, 'did you mean "reload-on-age"?' in missing.stderr) == (2, True)
    nowhere = stack.paramedic("explain", "reload-on-age", "uwsgi:wbe")
    assert (nowhere.returncode, 'did you mean "uwsgi:web"?' in nowhere.stderr) == (2, True)
    stack.stop(agent)


def test_a_recorded_night_is_replayed_and_what_other_policies_would_have_done_is_told(
    lone_stack: EmbeddedStack,
) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    before = stack.worker_pids()
    stack.add_policies(ALWAYS)
    agent = stack.start_agent()
    stack.incident("reload-on-age")
    wait_for("it acted", lambda: not set(stack.worker_pids().values()) & set(before.values()), 30)
    wait_for("it was judged", lambda: stack.incident("reload-on-age")["actions"][0]["outcome"] == "met", 30)
    stack.stop(agent)
    same = stack.paramedic("replay", "--since", "1h")
    assert "chain_reload on uwsgi:web" in same.stdout, same.stdout + same.stderr
    assert "(happened: met)" in same.stdout
    other = stack.folder / "etc" / "other.yaml"
    other.write_text(NEVER)
    without = stack.paramedic("replay", "--since", "1h", "--policies", str(other), "--json")
    document = json.loads(without.stdout)
    assert (without.returncode, document["would"]) == (1, [])
    assert ("reload-on-age", "met") in [(one["policy"], one["did"]) for one in document["missing"]]
    saved = stack.folder / "state" / "samples.jsonl"
    assert stack.paramedic("replay", "--since", "1h", "--save", str(saved)).returncode == 0
    other.write_text(RELOAD.format(when="accepting > 1", cooldown="1s"))
    again = stack.paramedic("replay", "--samples", str(saved), "--policies", str(other), "--json")
    document = json.loads(again.stdout)
    assert [one["did"] for one in document["would"]] == [None], "once for the incident: nobody knows if it helped"
    assert document["samples"] == len(saved.read_text().splitlines())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("check", "--schema"), 0, '"$schema"'),
        (("check", "--reference"), 0, "# Policy reference"),
        (("test",), 0, "passed, 0 failed"),
        (("test", "/nowhere.yaml"), 2, "cannot read it: No such file"),
        (("pause", "soon", "--why", "x"), 2, 'cannot read "soon"'),
        (("pause", "8d", "--why", "x"), 2, "7d at most"),
        (("replay", "--since", "1h"), 3, "no samples"),
        (("replay", "--samples", "/nowhere"), 2, "cannot read it"),
    ],
)
def test_the_command_line_says_what_it_wants(
    lone_stack: EmbeddedStack, words: tuple[str, ...], code: int, said: str
) -> None:
    lone_stack.write_config()
    found = lone_stack.paramedic(*words)
    assert (found.returncode, said in found.stdout + found.stderr) == (code, True), found


OWN = """
policies:
  - name: own-program
    watch: host
    when: memory.total > 1 MiB
    do:
      - run: { argv: [{FAILS}, "two words; true"] }
      - run: { argv: [{SLEEPS}], within: 1s }
      - run: { argv: [{WORKS}] }
      - notify
"""


def program(stack: EmbeddedStack, name: str, body: str) -> Path:
    """A program of the person whose server it is."""
    path = stack.folder / "etc" / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_person_s_own_programs_are_run_without_a_shell_and_judged_by_how_they_end(stack: EmbeddedStack) -> None:
    kept, alive = stack.folder / "tmp" / "given", stack.folder / "tmp" / "alive"
    fails = program(stack, "fails", 'echo "no: $#: $1" >&2; exit 3')
    sleeps = program(stack, "sleeps", f"echo $$ > {alive}; exec sleep 60")
    works = program(stack, "works", f"cat > {kept}; echo >> {kept}; env >> {kept}")
    stack.add_policies(
        OWN.replace("{FAILS}", str(fails)).replace("{SLEEPS}", str(sleeps)).replace("{WORKS}", str(works))
    )
    stack.start_agent()
    wait_for("somebody is told", lambda: "told" in [told["event"] for told in stack.notified_of("own-program")], 30)
    ran = [action for action in stack.incident("own-program")["actions"] if action["action"] == "run"]
    assert [action["outcome"] for action in ran] == ["missed", "missed", "met"]
    assert ran[0]["detail"] == f"{fails}: exit 3: no: 1: two words; true"
    assert ran[1]["detail"] == f"{sleeps}: it was ended after 1s"
    assert not Path(f"/proc/{alive.read_text().strip()}").exists(), "what does not end in time is ended"
    given = kept.read_text()
    assert json.loads(given.splitlines()[0])["incident"]["policy"] == "own-program"
    assert "PATH=" in given and MARK not in given, "nothing of the agent's environment"
