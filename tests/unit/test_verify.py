"""verify.py: an action is met by what later samples show, never by what it says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paramedic.model.facts import Facts, Subject, Unknown
from paramedic.model.policy import Rung
from paramedic.model.readings import Identity, MemoryReading, PathKind, PathReading, Unreadable, WorkerReading
from paramedic.model.record import Attempt, Status
from paramedic.model.stack import ProgramConf
from paramedic.model.supervision import ChildRecord, ProgramReading, RpcReading
from paramedic.verify import deadline, expect, judge, progress
from unit.builders import (
    DAEMON,
    HOST,
    MAIN,
    MIB,
    SOCKET,
    WEB,
    attempt,
    facts,
    guarded,
    subject,
    supervisor,
    uwsgi,
    worker,
)


def seen(reading: object, at: float = 920.0, diagnosis: str = "ok") -> Facts:
    """Facts with one supervisor or uwsgi, and 500 MiB available."""
    name = WEB if hasattr(reading, "workers") else MAIN
    host = subject(HOST, {"memory.available": 500 * MIB})
    return facts(subject(name, {"diagnosis": diagnosis}, reading=reading), host, at=at)


def reload_of(*workers: object) -> Attempt:
    """A chain reload whose `before` was taken of these workers."""
    return attempt(Status.DONE, before=expect(WEB, seen(uwsgi(*workers))))  # type: ignore[arg-type]


def test_a_sample_older_than_the_action_judges_nothing() -> None:
    met_otherwise = attempt(Status.DONE, action="notify", finished=910.0)
    assert judge(met_otherwise, facts(at=910.0)) is met_otherwise
    assert judge(met_otherwise, facts(at=911.0)).status is Status.MET


def test_what_is_judged_is_not_judged_again() -> None:
    for status in (Status.MET, Status.MISSED, Status.REFUSED, Status.OBSERVED):
        final = attempt(status)
        assert judge(final, facts(at=99999.0)) is final


def test_a_chain_reload_is_met_when_every_worker_is_new_accepts_and_has_its_app() -> None:
    fat = MemoryReading(195 * MIB, 190 * MIB, 0, 890.0)
    began = reload_of(worker(1, 11, memory=fat), worker(2, 12, memory=fat))
    half = seen(uwsgi(worker(1, 21), worker(2, 12)))
    assert judge(began, half) is began
    booting = seen(uwsgi(worker(1, 21), worker(2, 22, accepting=False)))
    assert judge(began, booting) is began
    empty = seen(uwsgi(worker(1, 21), worker(2, 22, apps=0)))
    assert judge(began, empty) is began
    met = judge(began, seen(uwsgi(worker(1, 21), worker(2, 22))))
    assert met.status is Status.MET
    assert met.gained == {"bytes": 300 * MIB, "host_bytes": 0}
    assert met.seconds == 20.0


def test_a_chain_that_stalls_is_missed_with_the_worker_it_waits_for() -> None:
    began = reload_of(worker(1, 11), worker(2, 12))
    late = judge(began, seen(uwsgi(worker(1, 21), worker(2, 12)), at=971.0))
    assert late.status is Status.MISSED
    assert "waiting for worker 2" in late.detail


def test_cheaped_workers_are_not_waited_for() -> None:
    began = reload_of(worker(1, 11), worker(2, 12, status="cheap"))
    assert judge(began, seen(uwsgi(worker(1, 21), worker(2, 12, status="cheap")))).status is Status.MET


def test_the_deadline_of_a_chain_grows_with_workers_and_mercy() -> None:
    two, four = seen(uwsgi(worker(1, 1), worker(2, 2))), seen(uwsgi(*(worker(n, n) for n in range(1, 5))))
    step = Rung("chain_reload")
    assert deadline(step, WEB, four) - deadline(step, WEB, two) == 2 * (8 + 30)


def test_the_deadline_of_a_graceful_restart_grows_with_the_slowest_program() -> None:
    conf = replace(supervisor().conf, programs=(ProgramConf("slow", "x", stopwaitsecs=300.0),))
    looked = seen(supervisor(conf=conf))
    assert deadline(Rung("restore_socket"), MAIN, looked) == 10.0
    assert deadline(Rung("restore_socket", {"restart": "ok"}), MAIN, looked) == 360.0


def restored(**more: object) -> Status:
    """The judgement of restore_socket after a sample with a changed reading."""
    done = attempt(Status.DONE, action="restore_socket", target=MAIN, before=expect(MAIN, seen(supervisor())))
    return judge(done, seen(supervisor(**more))).status


def test_a_restored_socket_is_met_when_the_daemon_answers_at_its_own_path() -> None:
    assert restored() is Status.MET
    assert restored(path=PathReading(PathKind.ABSENT)) is Status.DONE
    assert restored(rpc=RpcReading("/tmp/.paramedic-0/x", "RUNNING", 100, "shop", ())) is Status.DONE
    assert restored(path=PathReading(PathKind.SOCKET, inode=99)) is Status.DONE
    assert restored(path=PathReading(PathKind.SOCKET, inode=99), relayed=True) is Status.MET


def test_a_guarded_socket_is_restored_when_the_path_reaches_its_server() -> None:
    redis = Subject("socket", "redis")
    done = attempt(Status.DONE, action="restore_socket", target=redis)
    for reading, status in (
        (guarded(), Status.MET),
        (guarded(path=PathReading(PathKind.ABSENT)), Status.DONE),
        (guarded(path=PathReading(PathKind.SOCKET, inode=99), relayed=True), Status.MET),
    ):
        assert judge(done, facts(subject(redis, reading=reading), at=920.0)).status is status


@pytest.mark.parametrize(
    ("action", "diagnosis"),
    [
        ("repair_mode", "socket-denied"),
        ("rewrite_pidfile", "pidfile-wrong"),
        ("reopen_logs", "log-deleted"),
        ("resume_daemon", "daemon-hung"),
    ],
)
def test_a_small_repair_is_met_when_the_daemon_is_read_and_its_state_is_another(action: str, diagnosis: str) -> None:
    done = attempt(Status.DONE, action=action, target=MAIN)
    assert judge(done, seen(supervisor(), diagnosis=diagnosis)).status is Status.DONE
    assert judge(done, seen(supervisor())).status is Status.MET
    unknown = facts(subject(MAIN, {"diagnosis": Unknown("silence")}, reading=supervisor()), at=920.0)
    assert judge(done, unknown).status is Status.DONE


def test_a_duplicate_is_stopped_when_the_keeper_is_left_and_well() -> None:
    rivals = supervisor(daemon=None, keeper=DAEMON)
    done = attempt(Status.DONE, action="stop_duplicate", target=MAIN, before=expect(MAIN, seen(rivals)))
    assert judge(done, seen(rivals)).status is Status.DONE
    assert judge(done, seen(supervisor(daemon=Identity(300, 1)))).status is Status.DONE, "the other one is left"
    assert judge(done, seen(supervisor(), diagnosis="socket-missing")).status is Status.DONE
    assert judge(done, seen(supervisor())).status is Status.MET


def test_a_program_is_restarted_when_a_new_process_of_it_stays_up() -> None:
    name = Subject("supervisor.program", "main/daphne")

    def with_program(pid: int, state: str, age_s: float, rss: int) -> Facts:
        program = ProgramReading("daphne", state, Identity(pid, 1), "", age_s, rss_bytes=rss)
        found = subject(name, {"diagnosis": "ok"}, reading=program, parent=MAIN)
        return facts(found, subject(MAIN, {"diagnosis": "ok"}, reading=supervisor()), at=920.0)

    before = expect(name, with_program(101, "RUNNING", 900.0, 500 * MIB))
    done = attempt(Status.DONE, action="restart_program", target=name, before=before)
    assert judge(done, with_program(101, "RUNNING", 900.0, 1)).status is Status.DONE, "it is the old process"
    assert judge(done, with_program(102, "STARTING", 9.0, 1)).status is Status.DONE
    assert judge(done, with_program(102, "RUNNING", 2.0, 1)).status is Status.DONE, "not past startsecs yet"
    met = judge(done, with_program(102, "RUNNING", 9.0, 100 * MIB))
    assert (met.status, met.gained) == (Status.MET, {"bytes": 400 * MIB})


def test_programs_that_kept_their_pid_are_counted_as_untouched() -> None:
    done = attempt(Status.DONE, action="restore_socket", target=MAIN, before=expect(MAIN, seen(supervisor())))
    assert judge(done, seen(supervisor())).gained == {"programs_untouched": 1}
    other = ProgramReading("daphne", "RUNNING", Identity(999, 1), "", 1.0)
    touched = supervisor(rpc=RpcReading(SOCKET, "RUNNING", 100, "shop", (other,)))
    assert judge(done, seen(touched)).gained == {"programs_untouched": 0}


@pytest.mark.parametrize(
    ("state", "diagnosis", "status"),
    [
        ("RUNNING", "ok", Status.MET),
        ("STARTING", "ok", Status.DONE),
        ("BACKOFF", "ok", Status.DONE),
        ("FATAL", "ok", Status.DONE),
        ("RUNNING", "socket-replaced", Status.DONE),
        ("RUNNING a moment ago", "ok", Status.DONE),
    ],
)
def test_a_restarted_daemon_is_met_when_what_ran_before_runs(state: str, diagnosis: str, status: Status) -> None:
    recorded = (ChildRecord("daphne", Identity(101, 1), 101, DAEMON),)
    before = expect(MAIN, seen(supervisor(daemon=None, recorded=recorded)))
    done = attempt(Status.DONE, action="restart_supervisord", target=MAIN, before=before)
    program = ProgramReading("daphne", state.split()[0], Identity(301, 1), "", 1.0 if " " in state else 9.0)
    reading = supervisor(daemon=Identity(300, 1), rpc=RpcReading(SOCKET, "RUNNING", 300, "shop", (program,)))
    assert judge(done, seen(reading, diagnosis=diagnosis)).status is status


def test_an_orphan_is_gone_when_no_sample_shows_it() -> None:
    orphan = Subject("orphan", "main/daphne@7")
    done = attempt(Status.DONE, action="kill_orphans", target=orphan)
    assert judge(done, facts(subject(orphan, {}), at=920.0)).status is Status.DONE
    assert judge(done, facts(subject(MAIN, {}, reading=supervisor()), at=920.0)).status is Status.MET


def test_a_repair_that_still_runs_is_not_judged_or_a_second_one_would_run_beside_it() -> None:
    running = replace(reload_of(worker(1, 11)), status=Status.RUNNING, finished=None)
    new = seen(uwsgi(worker(1, 21)))
    assert judge(running, new) is running
    assert judge(running, replace(new, monotonic=99999.0)) is running


def test_what_a_killed_agent_left_is_met_by_what_stands_or_soon_free_to_be_tried_again() -> None:
    left = attempt(Status.DONE, action="restore_socket", target=MAIN, interrupted=True)
    assert judge(replace(left, before=expect(MAIN, seen(supervisor()))), seen(supervisor())).status is Status.MET
    missing = supervisor(path=PathReading(PathKind.ABSENT))
    assert judge(left, seen(missing, at=911.0)).status is Status.DONE
    assert judge(left, seen(missing, at=913.0)).status is Status.INTERRUPTED, "to try it again does no harm: at once"
    assert judge(left, seen(missing, at=9999.0)).status is Status.INTERRUPTED, "never missed: it may not have been done"
    slow = replace(left, action="restart_supervisord")
    assert judge(slow, seen(missing, at=924.0, diagnosis="socket-missing")).status is Status.DONE
    assert judge(slow, seen(missing, at=926.0, diagnosis="socket-missing")).status is Status.INTERRUPTED


def test_a_socket_that_is_lost_again_is_no_reason_to_wait() -> None:
    done = attempt(Status.DONE, action="restore_socket", target=MAIN)
    lost = judge(done, seen(supervisor(path=PathReading(PathKind.ABSENT)), 911.0, "socket-missing"))
    assert (lost.status, lost.detail) == (
        Status.MISSED,
        "it was undone again: the path does not reach the live socket",
    )
    silent = supervisor(path=PathReading(PathKind.ABSENT), rpc=Unreadable("no answer"))
    assert judge(done, seen(silent, 911.0, "daemon-hung")) is done, "what is not seen to be lost again is waited for"
    restarts = replace(done, args={"restart": "ok"})
    missing = supervisor(path=PathReading(PathKind.ABSENT))
    assert judge(restarts, seen(missing, 911.0, "socket-missing")) is restarts, "a restart is without it for a while"


def test_what_a_reload_gave_back_is_told_by_the_workers_own_memory() -> None:
    fat = MemoryReading(195 * MIB, 190 * MIB, 0, 890.0)
    began = reload_of(worker(1, 11, memory=fat), worker(2, 12, memory=fat))
    unread = uwsgi(worker(1, 21), worker(2, 22, memory=Unreadable("its PSS and USS were not read yet")))
    assert judge(began, seen(unread)) is began
    assert "not read yet" in progress(began, seen(unread))
    late = judge(replace(began, deadline_s=20.0), seen(unread, at=920.0))
    assert (late.status, late.gained) == (Status.MET, {"bytes": 0, "host_bytes": 0}), "by RSS, rather than never"
    weighed = replace(began, before={**began.before, "uss": 500 * MIB})
    assert judge(weighed, seen(uwsgi(worker(1, 21), worker(2, 22)))).gained["bytes"] == 420 * MIB


def test_a_recycled_worker_is_judged_alone() -> None:
    target = Subject("uwsgi.worker", "web/2")

    def look(second: WorkerReading) -> Facts:
        """The instance and its second worker, the first one as it was."""
        reading = uwsgi(worker(1, 11), second)
        return facts(
            subject(WEB, {}, reading=reading), subject(target, {}, parent=WEB, identity=second.identity), at=920.0
        )

    before = expect(target, look(worker(2, 12)))
    assert before["pids"] == {"2": 12}
    began = attempt(Status.DONE, action="recycle_worker", target=target, before=before)
    assert judge(began, look(worker(2, 12))) is began
    assert progress(began, look(worker(2, 12))) == "waiting for worker 2, which is idle"
    assert judge(began, look(worker(2, 22, accepting=False, apps=0))) is began
    met = judge(began, look(worker(2, 22)))
    assert (met.status, met.detail) == (Status.MET, "worker 2 is process 22 now")
    resting = uwsgi(worker(1, 11), worker(2, 0, identity=None, status="cheap", accepting=False))
    cheaped = facts(subject(WEB, {}, reading=resting), at=920.0)
    assert judge(began, cheaped).status is Status.MET, "uWSGI may let it rest instead"


def test_of_an_instance_those_are_judged_that_were_asked_to_leave() -> None:
    old = uwsgi(worker(1, 11), worker(2, 12), worker(3, 13))
    began = attempt(Status.DONE, action="recycle_worker", before={**expect(WEB, seen(old)), "recycled": {"3": 13}})
    assert judge(began, seen(old)) is began
    assert judge(began, seen(uwsgi(worker(1, 11), worker(2, 12), worker(3, 23)))).status is Status.MET


def test_a_started_instance_must_stay_up_with_all_workers() -> None:
    began = attempt(Status.DONE, action="start_uwsgi", before={})
    assert judge(began, seen(uwsgi(worker(1, 11), worker(2, 12, accepting=False)))) is began
    young = uwsgi(worker(1, 11), worker(2, 12))._replace(uptime_s=1.0)
    assert judge(began, seen(young)) is began
    assert judge(began, seen(young._replace(uptime_s=9.0))).status is Status.MET


def test_an_interrupted_chain_reload_shows_by_its_touch_whether_it_began() -> None:
    left = replace(reload_of(worker(1, 11), worker(2, 12)), interrupted=True)
    untouched = uwsgi(worker(1, 11), worker(2, 12))
    assert judge(left, seen(untouched)).status is Status.INTERRUPTED
    touched = untouched._replace(touched_at=left.started_wall + 1)
    assert judge(left, seen(touched, at=940.0)).status is Status.DONE


def test_no_worker_at_all_is_not_every_worker_new() -> None:
    began = reload_of(worker(1, 11), worker(2, 12))
    assert judge(began, seen(uwsgi())) is began
    assert judge(began, seen(uwsgi(worker(1, 21)))) is began
