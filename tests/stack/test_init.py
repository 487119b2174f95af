"""Without a configuration: `paramedic init` and `paramedic doctor` on a real uWSGI, supervisord and Daphne.

Other stacks of this machine are found too: only what lies below this one's folder is judged.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.stack import BIN, EmbeddedStack
from harness.waiting import wait_for
from paramedic.host.proc import Proc
from paramedic.sense.discover import CONTAINED, discover
from paramedic.settings import DEFAULT_PATH, load


def paramedic(*words: str) -> subprocess.CompletedProcess[str]:
    """One verb without --config, as root or whoever runs the tests."""
    return subprocess.run([str(BIN / "paramedic"), *words], capture_output=True, text=True, timeout=30)


def started(stack: EmbeddedStack) -> tuple[int, int]:
    """(uWSGI, supervisord); the conf includes by a variable that only the daemon's environment has."""
    stack.conf.write_text(stack.conf.read_text() + "[include]\nfiles = %(ENV_STACK_MORE)s/*.conf\n")
    stack.more_environment["STACK_MORE"] = str(stack.folder / "srv" / "more")
    return stack.start_uwsgi(), stack.start_supervisord()


def test_init_writes_what_runs_and_check_and_run_take_it(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    uwsgi, daemon = started(stack)
    wrote = paramedic("init", "--output", str(stack.config))
    assert wrote.returncode == 0, wrote.stderr
    entries = load(str(stack.config)).stack
    mine = [entry for entry in entries.uwsgi if entry.ini == str(stack.ini)]
    assert (len(mine), [entry.conf for entry in entries.supervisor].count(str(stack.conf))) == (1, 1)
    guarded = [entry for entry in entries.sockets if entry.path.startswith(f"{stack.folder}/")]
    assert [(entry.path, entry.relay) for entry in guarded] == [(f"{stack.folder}/tmp/stats.sock", False)]
    text = stack.config.read_text()
    user = "nobody" if stack.owner else ""
    assert f"    # process {uwsgi}, user {user}" in text
    assert f"    # process {daemon}, user {user}" in text
    assert f"process {stack.daphnes()[0]}, user" in text
    assert f": program daphne of supervisord {daemon}\n" in text
    assert "not for the journal" not in text
    checked = json.loads(paramedic("check", "--config", str(stack.config), "--json").stdout)
    assert not [error for error in checked["errors"] if str(stack.folder) in error], checked
    # Without a look at the daemon itself nobody could read its conf.
    stack.end(daemon)
    checked = json.loads(paramedic("check", "--config", str(stack.config), "--json").stdout)
    assert [error for error in checked["errors"] if str(stack.conf) in error and "ENV_STACK_MORE" in error]
    left = [one for one in discover(Proc()).daphne if one.runs.identity.pid == stack.daphnes()[0]]
    assert [(one.is_supervised, "it was program daphne of one that is gone" in one.belongs) for one in left] == [
        (False, True)
    ]


@pytest.mark.skipif(Path(DEFAULT_PATH).exists(), reason=f"this machine has {DEFAULT_PATH}")
def test_doctor_without_a_configuration_names_what_is_wrong_with_what_it_finds(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    started(stack)
    stats, other = stack.folder / "tmp" / "stats.sock", stack.folder / "tmp" / "bare.sock"
    argv = [BIN / "uwsgi", "--master", "--socket", other, "--die-on-term"]
    unnamed = stack.spawn(argv, stack.owner, "bare.log")
    wait_for("a uWSGI without an ini", other.is_socket)

    def of_mine() -> list[dict[str, Any]]:
        told = paramedic("doctor", "--json")
        found, unknown = (json.loads(told.stdout)[name] for name in ("findings", "unknown"))
        assert told.returncode in (1, 3), "what it cannot understand is no health"
        assert [why for who, why in unknown.items() if who.startswith(f"uWSGI {unnamed.pid} of ")]
        return [one for one in found if one["diagnosis"] == "socket-missing" and str(stack.folder) in one["evidence"]]

    assert of_mine() == []
    stack.config.write_text("mode: observe\n")
    bare = paramedic("doctor", "--config", str(stack.config)).stdout
    assert bare.startswith(f"{stack.config} names nothing to look after: looking at what runs here\n")
    assert f"{stack.daphnes()[0]}" in paramedic("top", "--once", "--config", str(stack.config)).stdout
    stack.socket.unlink()
    stats.unlink()
    gone = of_mine()
    assert f"{stack.socket} is gone" in paramedic("doctor", "--config", str(stack.config)).stdout
    assert sorted(one["subject"].partition(":")[0] for one in gone) == ["socket", "supervisor"]
    assert {path for path in (stack.socket, stats) for one in gone if f"{path} is gone" in one["evidence"]} == {
        stack.socket,
        stats,
    }


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_a_daemon_in_a_tree_of_its_own_is_not_taken_for_the_one_of_the_same_path(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    inner = stack.folder / "inner.conf"
    inner.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={stack.folder}/inner.log\npidfile={stack.folder}/inner.pid\n"
    )
    script = 'mount --bind "$1" "$2" && exec "$3" -n -c "$2"'
    argv = ["unshare", "-m", "sh", "-c", script, "sh", inner, stack.conf, stack.supervisor_bin / "supervisord"]
    inside = stack.spawn(argv, None, "inner.out")
    wait_for("the daemon in its tree", lambda: (stack.folder / "inner.pid").exists())
    found = discover(Proc())
    assert not [one for one in found.supervisor if one.entry.conf == str(stack.conf)]
    assert f"supervisord {inside.pid} of root: {CONTAINED}" in found.notes
