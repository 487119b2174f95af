"""facts/: a diagnosis only from sources that agree, unknown where they do not, and lineage that outlives a daemon."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paramedic.facts import join, learn, with_causes
from paramedic.facts.daemon import diagnose
from paramedic.facts.programs import program_subject
from paramedic.facts.sockets import diagnose_socket
from paramedic.model.facts import Known, Preflight, Subject, SupervisorKnown, Unknown
from paramedic.model.readings import Holder, HostReading, Identity, PathKind, PathReading, Unreadable, UwsgiReading
from paramedic.model.sample import Sample
from paramedic.model.supervision import (
    ChildRecord,
    Denied,
    OrphanReading,
    Pidfile,
    PortHeld,
    ProgramReading,
    Rival,
    RpcReading,
    Silence,
    SocketReading,
    SupervisorReading,
)
from unit.builders import DAEMON, MAIN, MIB, SOCKET, WEB, gone, guarded, subject, supervisor, uwsgi, worker

ABSENT = PathReading(PathKind.ABSENT)
KEPT = RpcReading("/tmp/.paramedic-0/supervisor.sock", "RUNNING", 100, "shop", ())
SILENT = Unreadable("no answer within the deadline")

CALM = HostReading(1000 * MIB, 100 * MIB, 0, 0, 0, 0.0, 0.0, 0.0)
THIEF = Holder(Identity(66, 660), "redis-server")
DISTRO = Holder(Identity(66, 660), "supervisord -n", "/etc/supervisor/supervisord.conf")
RIVALS = (Rival(DAEMON, 7, (), ("daphne",)), Rival(Identity(200, 9000), 8, (), ()))


def hangs(**more: object) -> Silence:
    """A daemon that hangs without doubt, some of it replaced."""
    return replace(Silence(3, 12.0, "S", 0, 12.0, 2), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reading", "diagnosis", "evidence"),
    [
        (supervisor(), "ok", ""),
        (supervisor(path=ABSENT, rpc=KEPT), "socket-missing", "is gone"),
        (supervisor(path=ABSENT._replace(parent=False), rpc=KEPT), "socket-missing", "is gone with its folder"),
        (supervisor(path=ABSENT, kept_inode=None, rpc=SILENT), "socket-missing", "is gone"),
        (
            supervisor(path=PathReading(PathKind.FILE, 8, size=5), rpc=KEPT),
            "socket-replaced",
            "a plain file of 5 bytes",
        ),
        (supervisor(path=PathReading(PathKind.SOCKET, 8), rpc=KEPT), "socket-replaced", "a dead socket"),
        (supervisor(path=PathReading(PathKind.DIRECTORY, 8), rpc=KEPT), "socket-replaced", "a directory"),
        (
            supervisor(path=PathReading(PathKind.DIRECTORY, 8), listening_inode=None),
            "socket-replaced",
            "cannot make its socket: a folder stands at",
        ),
        (
            supervisor(path=PathReading(PathKind.SOCKET, 8), listener_at_path=True, at_path=THIEF, rpc=KEPT),
            "socket-replaced",
            "the live socket of process 66 (redis-server)",
        ),
        (
            supervisor(path=PathReading(PathKind.SOCKET, 8), listener_at_path=True, rpc=KEPT),
            "socket-replaced",
            "a server that may not be looked at",
        ),
        (
            supervisor(path=PathReading(PathKind.SOCKET, 8), at_path=DISTRO, rpc=KEPT),
            "daemon-foreign",
            "process 66 (supervisord with /etc/supervisor/supervisord.conf) answers at",
        ),
        (supervisor(path=PathReading(PathKind.SOCKET, 8), relayed=True), "ok", ""),
        (supervisor(path=PathReading(PathKind.SYMLINK, 8), rpc=KEPT), "socket-replaced", "a symbolic link"),
        (supervisor(silence=hangs(state="T", misses=1, for_s=0.0), rpc=SILENT), "daemon-hung", "(state T)"),
        (supervisor(silence=hangs(), rpc=SILENT), "daemon-hung", "2 connections wait in its queue"),
        (supervisor(silence=hangs(blocked=("daphne (101)",)), rpc=SILENT), "daemon-hung", "blocked in a write to it"),
        (supervisor(denied=Denied("deploy", "its mode is 0600")), "socket-denied", "deploy may not use it"),
        (supervisor(denied=Denied("deploy", "no", "chown=deploy")), "socket-denied", "write chown=deploy"),
        (supervisor(pidfile=Pidfile("/srv/pid", "")), "pidfile-wrong", "/srv/pid is gone"),
        (supervisor(pidfile=Pidfile("/srv/pid", "66", THIEF)), "pidfile-wrong", "says 66, which is process 66"),
        (supervisor(deleted_logs=("/srv/log",)), "log-deleted", "/srv/log, which was deleted"),
        (supervisor(path=ABSENT, rpc=Unreadable("401 Unauthorized")), "auth-refused", "refuses"),
        (supervisor(rpc=Unreadable("401 Unauthorized")), "auth-refused", "refuses the username"),
        (supervisor(rivals=RIVALS, keeper=DAEMON), "daemon-duplicate", "100 runs daphne; 200 runs no program"),
        (supervisor(rivals=RIVALS, undecided="both run programs"), "daemon-duplicate", "nobody is stopped: both"),
        (gone(), "daemon-dead", "its socket and its pidfile"),
        (gone(socket_left=False), "daemon-dead", "it left its pidfile behind"),
        (gone()._replace(seen_alive=False), "socket-stale", "has no listener"),
        (gone(socket_left=False)._replace(seen_alive=False), "daemon-dead", "its pidfile"),
        (gone(socket_left=False, pidfile_left=False), "daemon-stopped", "it removed its socket and pidfile"),
        (gone(said="received SIGTERM indicating exit request"), "daemon-stopped", "its log says"),
        (
            gone(socket_left=False, pidfile_left=False, said="received SIGHUP indicating restart request"),
            "daemon-dead",
            "",
        ),
        (
            gone(socket_left=False, pidfile_left=False)._replace(seen_alive=False),
            "daemon-stopped",
            "no trace that it ran since the host booted",
        ),
        (gone()._replace(listener_at_path=True), "daemon-foreign", "ours does not run"),
        (gone()._replace(listener_at_path=True, at_path=DISTRO), "daemon-foreign", "/etc/supervisor/supervisord.conf"),
    ],
)
def test_diagnoses(reading: SupervisorReading, diagnosis: str, evidence: str) -> None:
    found = diagnose(reading, CALM)
    assert not isinstance(found, Unknown), found
    assert found[0] == diagnosis
    assert evidence in found[1]


@pytest.mark.parametrize(
    "reading",
    [
        supervisor(rpc=SILENT),
        supervisor(listening_inode=None),
        supervisor(path=ABSENT, rpc=SILENT),
        supervisor(path=ABSENT, rpc=KEPT._replace(state="it is shutting down or restarting")),
        supervisor(rpc=RpcReading(SOCKET, "it is shutting down or restarting", 0, "", ())),
        supervisor(rpc=RpcReading(SOCKET, "RUNNING", 4711, "shop", ())),
        gone()._replace(trace=None),
        supervisor(silence=hangs(state="t"), rpc=SILENT),
        supervisor(silence=hangs(state="T", tracer=66), rpc=SILENT),
        supervisor(silence=hangs(state="D"), rpc=SILENT),
        supervisor(silence=hangs(misses=2), rpc=SILENT),
        supervisor(silence=hangs(still_s=9.0), rpc=SILENT),
        supervisor(silence=hangs(waiting=0), rpc=SILENT),
    ],
)
def test_sources_that_do_not_agree_are_unknown(reading: SupervisorReading) -> None:
    assert isinstance(diagnose(reading, CALM), Unknown)


def test_a_host_short_of_memory_makes_a_silent_daemon_slow_and_not_hung() -> None:
    thrashing = CALM._replace(full_avg10=60.0)
    assert isinstance(diagnose(supervisor(silence=hangs(), rpc=SILENT), thrashing), Unknown)
    stopped = supervisor(silence=hangs(state="T"), rpc=SILENT)
    assert not isinstance(diagnose(stopped, thrashing), Unknown), "a stopped process is stopped whatever the host does"


@pytest.mark.parametrize(
    ("reading", "diagnosis", "evidence"),
    [
        (guarded(), "ok", ""),
        (guarded(path=PathReading(PathKind.SOCKET, 8), relayed=True), "ok", ""),
        (guarded(path=ABSENT), "socket-missing", "/run/redis.sock is gone"),
        (guarded(path=ABSENT._replace(parent=False)), "socket-missing", "is gone with its folder"),
        (guarded(path=PathReading(PathKind.FILE, 8, size=3)), "socket-replaced", "a plain file of 3 bytes"),
        (guarded(path=PathReading(PathKind.SOCKET, 8), at_path=THIEF), "socket-replaced", "process 66"),
        (guarded(owner=None), "socket-stale", "has no listener"),
        (guarded(owner=None, path=ABSENT), "socket-stale", "nobody listens"),
    ],
)
def test_diagnoses_of_guarded_sockets(reading: SocketReading, diagnosis: str, evidence: str) -> None:
    found = diagnose_socket(reading)
    assert found[0] == diagnosis
    assert evidence in found[1]


HELD = PortHeld(8001, THIEF)


@pytest.mark.parametrize(
    ("more", "diagnosis", "evidence"),
    [
        ({}, "ok", ""),
        ({"starts": 2}, "ok", ""),
        ({"starts": 3, "watched_s": 60.0}, "program-flapping", "started 3 times in 1m, Supervisor calls it RUNNING"),
        ({"starts": 3, "port_held": HELD}, "program-flapping", "port 8001 is held by process 66 (redis-server)"),
        ({"port_held": HELD}, "port-held", "not a program of this Supervisor"),
        ({"port_held": replace(HELD, orphan="daphne")}, "port-held", "what is left of daphne"),
        ({"state": "FATAL", "spawnerr": "can't", "hint": "look there"}, "program-fatal", "FATAL: can't; look there"),
        ({"state": "FATAL", "starts": 5}, "program-fatal", "no spawn error is recorded"),
    ],
)
def test_diagnoses_of_programs(more: dict[str, object], diagnosis: str, evidence: str) -> None:
    program = ProgramReading("daphne", "RUNNING", Identity(101, 1), "", 10.0)._replace(**more)  # type: ignore[arg-type]
    found = program_subject("main", MAIN, program)
    assert found.fields["diagnosis"] == diagnosis
    assert [finding.evidence for finding in found.findings if evidence in finding.evidence] or diagnosis == "ok"


def sample(**more: object) -> Sample:
    """A sample with a healthy host."""
    host = HostReading(1000 * MIB, 100 * MIB, 0, 0, 0, Unreadable("no PSI"), 1.0, 0.5)
    return replace(Sample(1000.0, 1_700_001_000.0, host), **more)  # type: ignore[arg-type]


CHILD = ChildRecord("daphne", Identity(101, 5001), 101, DAEMON, SOCKET)
ORPHAN = OrphanReading(CHILD, "daphne -p 1", 5 * MIB, 60.0, None)


def test_the_host_in_percent_and_without_psi() -> None:
    host = join(sample(), Known()).of_kind("host")[0].fields
    assert host["memory.used_percent"] == pytest.approx(90.0)
    assert isinstance(host["pressure.memory.some_avg10"], Unknown)
    unreadable = join(sample(host=Unreadable("impossible")), Known()).of_kind("host")[0].fields
    assert isinstance(unreadable["memory.used_percent"], Unknown)


def test_an_orphan_is_explained_by_its_dead_daemon_and_stands_alone_beside_a_living_one() -> None:
    dead = join(sample(supervisor={"main": gone()._replace(orphans=(ORPHAN,))}), Known())
    alive = join(sample(supervisor={"main": supervisor(orphans=(ORPHAN,))}), Known())
    name = Subject("orphan", "main/daphne@101")
    assert dead.subjects[name].cause == MAIN
    assert alive.subjects[name].cause is None
    assert alive.subjects[name].fields["kind"] == "program"
    assert "still running: daphne (101)" in dead.subjects[MAIN].findings[0].evidence


def test_a_doubted_orphan_is_unknown_and_says_which_proof_is_missing() -> None:
    doubted = ORPHAN._replace(doubt="its environment cannot be read")
    found = join(sample(supervisor={"main": supervisor(orphans=(doubted,))}), Known()).of_kind("orphan")[0]
    assert found.fields["kind"] == Unknown("its environment cannot be read")
    assert "it is not touched: its environment cannot be read" in found.findings[0].evidence


def test_a_fatal_program_comes_with_its_spawn_error() -> None:
    fatal = ProgramReading("daphne", "FATAL", None, "can't find command 'daphne'", 0.0)
    reading = supervisor(rpc=RpcReading(SOCKET, "RUNNING", 100, "shop", (fatal,)))
    found = join(sample(supervisor={"main": reading}), Known()).of_kind("supervisor.program")[0]
    assert found.findings[0].evidence == "FATAL: can't find command 'daphne'"


def test_uwsgi_sums_are_unknown_as_long_as_one_worker_is() -> None:
    known = Known(baselines={Identity(11, 110): 30 * MIB, Identity(12, 120): 30 * MIB})
    whole = join(sample(uwsgi={"web": uwsgi(worker(1, 11), worker(2, 12))}), known).subjects[WEB].fields
    assert (whole["uss"], whole["baseline_uss"], whole["workers"], whole["idle"]) == (80 * MIB, 60 * MIB, 2, 2)
    partial = uwsgi(worker(1, 11), worker(2, 13, memory=Unreadable("not read yet")), worker(3, 14, status="cheap"))
    fields = join(sample(uwsgi={"web": partial}), known).subjects[WEB].fields
    assert isinstance(fields["uss"], Unknown)
    assert isinstance(fields["baseline_uss"], Unknown)
    assert fields["rss"] == 100 * MIB


def test_a_broken_app_stays_a_finding_until_a_later_preflight() -> None:
    known = Known(preflights={"web": Preflight("broken", "no module named x", 1_800_000_000.0)})
    found = join(sample(uwsgi={"web": uwsgi(worker(1, 11))}), known).subjects[WEB]
    assert found.fields["diagnosis"] == "app-broken"
    assert found.findings[0].evidence == "no module named x"
    later = Known(preflights={"web": Preflight("broken", "no module named x", 1_600_000_000.0)})
    mended = join(sample(uwsgi={"web": uwsgi(worker(1, 11))}), later).subjects[WEB]
    assert mended.fields["diagnosis"] == "ok", "a worker that started since then has its app"


def test_only_a_healthy_daemons_word_changes_its_lineage() -> None:
    seen = learn(Known(), sample(supervisor={"main": supervisor()}))
    assert seen.supervisors["main"] == SupervisorKnown(DAEMON, (CHILD,))
    for silent in (gone(), supervisor(rpc=SILENT)):
        assert learn(seen, sample(supervisor={"main": silent})) == seen
    leaving = learn(seen, sample(supervisor={"main": supervisor(rpc=RpcReading(SOCKET, "stopping", 0, "", ()))}))
    assert leaving.supervisors["main"] == SupervisorKnown(DAEMON, (CHILD,), was_leaving=True)
    assert learn(leaving, sample(supervisor={"main": supervisor()})) == seen


def test_a_stop_by_a_person_is_told_from_a_crash_that_tidied_up() -> None:
    tidy = gone(socket_left=False, pidfile_left=False)
    assert said(tidy) == "daemon-stopped"
    assert said(tidy._replace(orphans=(ORPHAN,))) == "daemon-dead", "an ordered exit stops its programs first"
    assert said(gone(was_leaving=True)) == "daemon-stopped"
    always = tidy._replace(conf=replace(tidy.conf, restart="always"))
    assert said(always) == "daemon-dead"


def said(reading: SupervisorReading) -> str:
    """The diagnosis alone."""
    found = diagnose(reading, CALM)
    assert not isinstance(found, Unknown)
    return found[0]


def test_programs_a_person_had_stopped_are_remembered() -> None:
    resting = ProgramReading("batch", "STOPPED", None, "", 0.0)
    reading = supervisor(rpc=RpcReading(SOCKET, "RUNNING", 100, "shop", (resting,)))
    assert learn(Known(), sample(supervisor={"main": reading})).supervisors["main"].stopped == ("batch",)


def test_children_of_the_old_daemon_stay_recorded_while_they_live() -> None:
    seen = Known(supervisors={"main": SupervisorKnown(DAEMON, (CHILD,))})
    second = supervisor(
        daemon=Identity(200, 9000), rpc=RpcReading(SOCKET, "RUNNING", 200, "shop", ()), orphans=(ORPHAN,)
    )
    later = learn(seen, sample(supervisor={"main": second})).supervisors["main"]
    assert (later.daemon, later.strays) == (Identity(200, 9000), (CHILD,))
    ended = learn(Known(supervisors={"main": later}), sample(supervisor={"main": second._replace(orphans=())}))
    assert ended.supervisors["main"].strays == ()


def test_a_baseline_is_the_first_uss_after_a_minute_and_goes_with_its_worker() -> None:
    def after(age_s: float, known: Known, pid: int = 11) -> Known:
        return learn(known, sample(uwsgi={"web": uwsgi(worker(1, pid, age_s=age_s))}))

    assert after(30, Known()).baselines == {}
    settled = after(61, Known())
    assert settled.baselines == {Identity(11, 110): 40 * MIB}
    assert after(9000, Known()).baselines == {}, "an old worker has no baseline any more"
    assert after(9000, settled).baselines == settled.baselines
    assert after(5, settled, pid=12).baselines == {}
    unread: dict[str, UwsgiReading | Unreadable] = {"web": Unreadable("silence")}
    assert learn(settled, sample(uwsgi=unread)).baselines == settled.baselines


def test_an_owner_in_a_state_that_explains_is_the_cause_of_what_belongs_to_it() -> None:
    program, orphan = Subject("supervisor.program", "main/daphne"), Subject("orphan", "main/daphne@7")
    for diagnosis, explains in (("daemon-dead", True), ("socket-stale", True), ("auth-refused", False), ("ok", False)):
        found = with_causes(
            {
                MAIN: subject(MAIN, {"diagnosis": diagnosis}),
                program: subject(program, {"diagnosis": "program-fatal"}, parent=MAIN),
                orphan: subject(orphan, {"kind": "program"}, parent=MAIN, cause=program),
            }
        )
        assert found[program].cause == (MAIN if explains else None), diagnosis
        assert found[orphan].cause == program, "a cause that is known already stays: so they form chains"
    silent = with_causes({MAIN: subject(MAIN, {"diagnosis": Unknown("?")}), program: subject(program, parent=MAIN)})
    assert silent[program].cause is None, "unknown explains nothing"
    alone = with_causes({program: subject(program, parent=MAIN)})
    assert alone[program].cause is None
