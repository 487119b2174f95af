"""One worker recycled, chains asked for in both ways, workers that hang in their start, and uWSGI started again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from harness.processes import is_alive
from harness.stack import BIN, EmbeddedStack
from harness.waiting import stays, wait_for
from stack.test_memory import LIMIT_MIB, Load, fatten, rss_mib

ONE = """
policies:
  - name: fat
    watch: {watch}
    when: {when}
    do: [{do}]
    cooldown: {cooldown}
"""


def add(
    stack: EmbeddedStack,
    do: str,
    watch: str = "uwsgi.worker",
    when: str = f"rss > {LIMIT_MIB} MiB",
    cooldown: str = "5m",
) -> None:
    """One policy named fat."""
    stack.add_policies(ONE.format(do=do, watch=watch, when=when, cooldown=cooldown))


def ini(stack: EmbeddedStack, *lines: str, without: str = "") -> None:
    """More options, one left out."""
    kept = [line for line in stack.ini.read_text().splitlines() if not (without and line.startswith(without))]
    stack.ini.write_text("\n".join([*kept, *lines, ""]))


def action(stack: EmbeddedStack, result: str, deadline_s: float = 40.0) -> dict[str, Any]:
    """The last action of the incident of `fat` that has one, once that incident stands so."""

    def look() -> dict[str, Any] | None:
        mine = [i for i in stack.history() if i["policy"] == "fat" and i["result"] == result and i["actions"]]
        return mine[-1]["actions"][-1] if mine else None

    try:
        return wait_for(f"fat is {result}", look, deadline_s) or {}
    except AssertionError as late:
        raise AssertionError(f"{late}\n{stack.history()}\n{stack.agent_log()}") from late


def hold(stack: EmbeddedStack, *paths: str) -> list[threading.Thread]:
    """Keep so many workers busy."""
    held = [threading.Thread(target=stack.status, args=(stack.uwsgi_port, path)) for path in paths]
    for thread in held:
        thread.start()
    wait_for("they are busy", lambda: sum(w["status"] == "busy" for w in stack.workers()) == len(paths))
    return held


def test_the_one_worker_over_its_limit_is_replaced_and_no_request_fails(stack: EmbeddedStack) -> None:
    stack.start_uwsgi()
    pids = stack.worker_pids()
    while not any(rss_mib(pid) > LIMIT_MIB for pid in pids.values()):
        assert stack.status(stack.uwsgi_port, "/leak/60") == 200
    fat = {number for number, pid in pids.items() if rss_mib(pid) > LIMIT_MIB}
    add(stack, "recycle_worker")
    load = Load(stack)
    stack.start_agent()
    done = action(stack, "healed")
    wait_for("every fat one is new", lambda: all(stack.worker_pids()[number] != pids[number] for number in fat), 30)
    assert set(load.stop()) == {200}
    assert (done["action"], done["outcome"]) == ("recycle_worker", "met")
    assert done["gained"]["bytes"] > 100 << 20
    left = {number: pid for number, pid in stack.worker_pids().items() if number not in fat}
    assert left == {number: pid for number, pid in pids.items() if number not in fat}, "the others are untouched"


def test_of_an_instance_idle_ones_leave_one_after_the_other_and_never_all(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    pids = stack.worker_pids()
    held = hold(stack, "/slow/9")
    busy = {w["id"] for w in stack.workers() if w["status"] == "busy"}
    add(stack, "recycle_worker: { most: 2, pause: 1s }", "uwsgi", "workers > 3")
    stack.start_agent()
    wait_for("two are new", lambda: sum(stack.worker_pids()[n] != pid for n, pid in pids.items()) == 2, 30)
    assert all(stack.worker_pids()[number] == pids[number] for number in busy), "the busy one was not first"
    for thread in held:
        thread.join(20)
    detail = wait_for("it is met", lambda: [a for i in stack.history() for a in i["actions"] if a["outcome"] == "met"])
    assert detail[0]["detail"].count("to leave") == 2
    stays("and only two", lambda: sum(stack.worker_pids()[n] != pid for n, pid in pids.items()) == 2, 2.0)


@pytest.mark.parametrize("do", ["recycle_worker", "chain_reload"])
def test_the_only_worker_is_never_put_out_of_service(lone_stack: EmbeddedStack, do: str) -> None:
    stack = lone_stack
    stack.ini.write_text(stack.ini.read_text().replace("processes = 4", "processes = 1"))
    stack.start_uwsgi()
    pids = stack.worker_pids()
    add(stack, do, when="rss > 1 MiB")
    stack.start_agent()
    assert "only" in action(stack, "refused")["detail"]
    assert (stack.worker_pids(), stack.status(stack.uwsgi_port)) == (pids, 200)


def test_a_chain_can_be_asked_for_through_the_masters_fifo(stack: EmbeddedStack) -> None:
    ini(stack, f"master-fifo = {stack.folder}/tmp/fifo", without="touch-chain-reload")
    stack.start_uwsgi()
    pids = fatten(stack)
    pids = stack.worker_pids()
    add(stack, "chain_reload")
    stack.start_agent()
    wait_for("status follows it", lambda: "waiting for worker" in stack.paramedic("status").stdout, 40)
    line = re.compile(r"^uwsgi\.worker:web/\d: .* \(PSS and USS [\w.]+ ago\)$", re.MULTILINE)
    wait_for("it says how old they are", lambda: line.search(stack.paramedic("status").stdout))
    assert "wrote c to" in action(stack, "healed", 60)["detail"]
    assert (stack.folder / "state/paramedic/recipes/uwsgi-web.json.asked").exists(), "the FIFO itself keeps no trace"
    assert not set(pids.values()) & set(stack.worker_pids().values())


def test_without_any_way_to_ask_the_lines_to_write_are_told(lone_stack: EmbeddedStack) -> None:
    ini(lone_stack, without="touch-chain-reload")
    lone_stack.start_uwsgi()
    add(lone_stack, "chain_reload", when="rss > 1 MiB")
    lone_stack.start_agent()
    assert "master-fifo = " in action(lone_stack, "refused")["detail"]


def test_a_deleted_touch_file_is_not_made_again(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    pids = stack.worker_pids()
    stack.touch.unlink()
    wait_for("its deletion alone was a reload", lambda: not set(pids.values()) & set(stack.worker_pids().values()), 40)
    add(stack, "chain_reload", when="rss > 1 MiB")
    stack.start_agent()
    assert "would be a reload of its own" in action(stack, "refused")["detail"]
    assert not stack.touch.exists()


def hang_app(stack: EmbeddedStack) -> Path:
    """While this file is there, loading the app does not end."""
    flag = stack.folder / "srv" / "hang"
    app = stack.site / "shop.py"
    code = f"import os, time\nif os.path.exists({str(flag)!r}):\n    time.sleep(600)\n"
    app.write_text(code + app.read_text())
    flag.touch()
    return flag


def test_a_worker_that_hangs_in_its_start_is_told_and_by_policy_ended_so_that_the_chain_goes_on(
    lone_stack: EmbeddedStack,
) -> None:
    stack = lone_stack
    stack.uwsgi_extra = ", boot: 2s"
    stack.start_uwsgi()
    pids = stack.worker_pids()
    flag = hang_app(stack)
    stack.touch.touch()
    wait_for("a worker hangs", lambda: any(not w["accepting"] and w["pid"] for w in stack.workers()), 20)
    add(stack, "recycle_worker: { stuck: kill }", "uwsgi", "diagnosis is chain-stalled", "1s")
    stack.start_agent()
    refused = action(stack, "refused", 30)
    assert "did not end within 2s" in refused["detail"], "while the app hangs elsewhere too, nobody is killed"
    doctor = stack.paramedic("doctor").stdout
    assert "chain-stalled on uwsgi:web" in doctor and "of the chain reload" in doctor, doctor
    flag.unlink()
    wait_for("all are new", lambda: not set(pids.values()) & set(stack.worker_pids().values()), 60)
    wait_for("all accept", lambda: all(w["accepting"] for w in stack.workers()), 30)
    assert "killed worker" in action(stack, "healed", 30)["detail"]
    assert stack.status(stack.uwsgi_port) == 200


def test_that_the_app_loaded_a_moment_ago_does_not_count_for_a_worker_that_hangs(lone_stack: EmbeddedStack) -> None:
    """It hangs over something that no file of the app shows, such as a database."""
    stack = lone_stack
    stack.uwsgi_extra = ", boot: 2s"
    flag = hang_app(stack)
    flag.unlink()
    stack.start_uwsgi()
    one = ONE.format(do="recycle_worker", watch="uwsgi.worker", when="name == 1 and rss > 1 MiB", cooldown="1h")
    kill = ONE.format(
        do="recycle_worker: { stuck: kill }", watch="uwsgi", when="diagnosis is chain-stalled", cooldown="1s"
    )
    stack.add_policies(one + kill.replace("policies:\n", "").replace("name: fat", "name: stalled"))
    stack.start_agent()
    action(stack, "gave up")
    flag.touch()
    stack.touch.touch()
    told = stack.incident("stalled", "refused", 60)
    assert "did not end within 2s" in told["actions"][-1]["detail"]
    flag.unlink()
    stack.incident("stalled", "healed", 60)


def test_an_app_that_hangs_while_it_loads_is_not_reloaded_onto(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.uwsgi_extra = ", boot: 1s"
    stack.start_uwsgi()
    pids = stack.worker_pids()
    hang_app(stack)
    add(stack, "chain_reload", when="rss > 1 MiB")
    stack.start_agent()
    assert "did not end within 1s" in action(stack, "refused")["detail"]
    assert stack.worker_pids() == pids


def test_a_killed_master_is_started_once_as_it_ran(stack: EmbeddedStack) -> None:
    master = stack.start_uwsgi()
    os.chown(stack.folder / "uwsgi.log", stack.uid, -1)
    stack.start_agent()
    wait_for("its launch is recorded", lambda: list(stack.folder.glob("state/paramedic/recipes/uwsgi-web.json")))
    held = hold(stack, "/slow/3")
    os.kill(master, signal.SIGKILL)
    told = stack.incident("uwsgi-dead", "healed", 60)
    for thread in held:
        thread.join(20)
    assert told["diagnosis"] == "uwsgi-dead"
    assert [a["action"] for a in told["actions"]] == ["start_uwsgi"]
    new = int(stack.stats()["pid"])
    assert new != master and stack.status(stack.uwsgi_port) == 200
    assert Path(f"/proc/{new}/environ").read_bytes() == Path(f"/proc/{stack.worker_pids()[1]}/environ").read_bytes()
    assert os.stat(f"/proc/{new}").st_uid == stack.uid
    assert (stack.folder / "uwsgi.log").read_text().count("spawned uWSGI master process") == 2
    stays("once", lambda: int(stack.stats()["pid"]) == new, 3.0)


def test_a_uwsgi_that_was_stopped_is_left_stopped_and_told(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    master = stack.start_uwsgi()
    stack.start_agent()
    wait_for("its launch is recorded", lambda: list(stack.folder.glob("state/paramedic/recipes/uwsgi-web.json")))
    os.kill(master, signal.SIGINT)
    wait_for("doctor says so", lambda: "uwsgi-stopped on uwsgi:web" in stack.paramedic("doctor").stdout, 20)
    stays("nobody starts it", lambda: not stack.stats(), 7.0)
    assert "killing workers" in stack.paramedic("doctor").stdout, "the words of its own log"


@pytest.mark.parametrize("obstacle", ["port", "app"])
def test_nothing_is_started_that_could_not_serve(lone_stack: EmbeddedStack, obstacle: str) -> None:
    stack = lone_stack
    master = stack.start_uwsgi()
    stack.start_agent()
    wait_for("its launch is recorded", lambda: list(stack.folder.glob("state/paramedic/recipes/uwsgi-web.json")))
    if obstacle == "app":
        app = stack.site / "shop.py"
        app.write_text("import a_module_nobody_installed\n" + app.read_text())
    os.kill(master, signal.SIGKILL)
    wait_for("it is gone", lambda: not is_alive(master))
    with socket.socket() as thief:
        if obstacle == "port":
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wait_for("its port is free", lambda: _takes(thief, stack.uwsgi_port))
        why = stack.incident("uwsgi-dead", "refused", 30)["actions"][0]["detail"]
    assert ("is taken by somebody else" if obstacle == "port" else "a_module_nobody_installed") in why
    assert not stack.stats()


def _takes(thief: socket.socket, port: int) -> bool:
    try:
        thief.bind(("127.0.0.1", port))
    except OSError:
        return False
    thief.listen()
    return True


@pytest.mark.parametrize("how", ["a second start", "an empty file"])
def test_a_pidfile_that_lies_means_nothing(lone_stack: EmbeddedStack, how: str) -> None:
    """A failed second start overwrites it; and uwsgi --reload with an empty one signals the caller's own group."""
    stack = lone_stack
    master = stack.start_uwsgi()
    pids, pidfile = stack.worker_pids(), stack.folder / "tmp" / "uwsgi.pid"
    if how == "a second start":
        second = stack.spawn([BIN / "uwsgi", "--ini", stack.ini.name], stack.owner, "second.log", stack.ini.parent)
        assert second.wait(20) == 1
        assert pidfile.read_text().strip() == str(second.pid) != str(master), "the fault is real"
    else:
        pidfile.write_text("")
    add(stack, "chain_reload")
    agent = stack.start_agent()
    findings = json.loads(stack.paramedic("doctor", "--json").stdout)["findings"]
    assert not [one for one in findings if one["subject"] == "uwsgi:web"]
    fatten(stack)
    assert action(stack, "healed", 60)["action"] == "chain_reload"
    assert agent.poll() is None and not set(pids.values()) & set(stack.worker_pids().values())


def test_without_need_app_a_broken_app_is_not_reloaded_onto_either(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    ini(stack, without="need-app")
    stack.start_uwsgi()
    pids = stack.worker_pids()
    app = stack.site / "shop.py"
    app.write_text("import a_module_nobody_installed\n" + app.read_text())
    add(stack, "chain_reload", when="rss > 1 MiB")
    agent = stack.start_agent()
    assert "a_module_nobody_installed" in action(stack, "refused")["detail"]
    assert (stack.worker_pids(), stack.status(stack.uwsgi_port)) == (pids, 200)
    stack.stop(agent)
    stack.touch.touch()  # the fault is real: without need-app every worker comes back without an app, and calls it fine
    wait_for("all good workers are gone", lambda: not set(pids.values()) & set(stack.worker_pids().values()), 40)
    wait_for("all accept", lambda: all(w["accepting"] for w in stack.workers()), 20)
    assert stack.status(stack.uwsgi_port) == 500


def test_a_touch_file_of_the_future_is_touched_beyond_it(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    pids = stack.worker_pids()
    future = int(stack.touch.stat().st_mtime) + 2_000_000_000
    os.utime(stack.touch, (future, future))
    wait_for("it fired once", lambda: not set(pids.values()) & set(stack.worker_pids().values()), 40)
    wait_for("all accept", lambda: all(w["accepting"] for w in stack.workers()), 20)
    pids = fatten(stack)
    pids = stack.worker_pids()
    add(stack, "chain_reload")
    stack.start_agent()
    assert str(future + 1) in action(stack, "healed", 60)["detail"], "a touch with today's time would be swallowed"
    assert not set(pids.values()) & set(stack.worker_pids().values())


def test_a_worker_busy_beyond_its_mercy_is_never_cut_off_by_recycling(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.ini.write_text(stack.ini.read_text().replace("worker-reload-mercy = 8", "worker-reload-mercy = 2"))
    stack.uwsgi_extra = ", boot: 2s"
    stack.start_uwsgi()
    pids = stack.worker_pids()
    status: list[int] = []

    def ask() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.uwsgi_port}/slow/16", timeout=40) as answer:
            status.append(answer.status)

    held = threading.Thread(target=ask)
    held.start()
    (busy,) = wait_for("one is busy", lambda: [w["id"] for w in stack.workers() if w["status"] == "busy"])
    add(stack, "recycle_worker", when=f"name == {busy} and status is busy")
    stack.start_agent()
    missed = wait_for(
        "it is missed", lambda: [a for i in stack.history() for a in i["actions"] if a["outcome"] == "missed"], 30
    )
    assert f"waiting for worker {busy}, which is busy" in missed[0]["detail"]
    held.join(20)
    assert status == [200]
    wait_for("it left after its request", lambda: stack.worker_pids()[busy] != pids[busy], 20)


def test_where_all_others_are_busy_the_idle_worker_is_not_sent_away(lone_stack: EmbeddedStack) -> None:
    """uWSGI says that a busy worker accepts, too."""
    stack = lone_stack
    stack.ini.write_text(stack.ini.read_text().replace("processes = 4", "processes = 2"))
    stack.start_uwsgi()
    pids = stack.worker_pids()
    held = hold(stack, "/slow/16")
    (idle,) = [worker["id"] for worker in stack.workers() if worker["status"] == "idle"]
    add(stack, "recycle_worker", when=f"name == {idle} and rss > 1 MiB")
    stack.start_agent()
    assert "no other worker was free within 5 s" in action(stack, "refused")["detail"]
    assert stack.worker_pids() == pids
    for thread in held:
        thread.join(20)


def test_an_agent_goes_on_while_a_master_does_not_answer_and_leaves_its_workers_alone(
    lone_stack: EmbeddedStack,
) -> None:
    stack = lone_stack
    master = stack.start_uwsgi()
    daemon = stack.start_supervisord()
    pids = stack.worker_pids()
    add(stack, "chain_reload", when="rss > 1 MiB", cooldown="1h")
    os.kill(master, signal.SIGSTOP)
    try:
        stack.start_agent()
        told = stack.incident("uwsgi-unreachable", deadline_s=30)
        assert "gave no answer within" in told["evidence"]
        stack.socket.unlink()
        stack.incident("socket-lost", "healed", 30)
    finally:
        os.kill(master, signal.SIGCONT)
    assert stack.supervisords() == [daemon]
    assert stack.worker_pids() == pids
    assert not any(incident["actions"] for incident in stack.history() if incident["policy"] == "fat")


def test_a_master_that_does_not_answer_is_told_with_the_memory_of_its_tree(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    master = stack.start_uwsgi()
    pids = stack.worker_pids()
    stack.write_config()
    os.kill(master, signal.SIGSTOP)
    try:
        found = stack.paramedic("doctor")
    finally:
        os.kill(master, signal.SIGCONT)
    assert "uwsgi-unreachable on uwsgi:web" in found.stdout and "no answer within" in found.stdout
    assert stack.worker_pids() == pids


def test_without_stats_the_process_tree_tells_the_memory(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    tree = [int(stack.stats()["pid"]), *stack.worker_pids().values()]
    ini(stack, without="stats")
    stack.start_agent()
    wait_for("its memory is read", lambda: " uss " in _line(stack) and "?" not in _line(stack), 20)
    shown = float(_line(stack).split("rss ")[1].split(" MiB")[0])
    assert abs(shown - sum(rss_mib(pid) for pid in tree)) < 8
    assert "write e.g. stats" in stack.paramedic("doctor").stdout


def _line(stack: EmbeddedStack) -> str:
    lines = stack.paramedic("status").stdout.splitlines()
    return next((line for line in lines if line.startswith("uwsgi:web")), "?")
