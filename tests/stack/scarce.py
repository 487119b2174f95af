"""Looks at a stack with one descriptor less each time, and prints every diagnosis that it gave: run by test_limits."""

from __future__ import annotations

import json
import os
import resource
import sys

from paramedic.facts import join
from paramedic.host.proc import Proc
from paramedic.journal import Journal
from paramedic.model.facts import Known, Unknown
from paramedic.sense.host import Sensors
from paramedic.settings import load


def look(sensors: Sensors, known: Known) -> dict[str, str]:
    """The diagnosis of each subject, "unknown" where there is none."""
    facts = join(sensors.read(known), known)
    found = {str(subject): one.fields.get("diagnosis", "none") for subject, one in facts.subjects.items()}
    said = {name: "unknown" if isinstance(word, Unknown) else str(word) for name, word in found.items()}
    causes = [f.evidence for one in facts.subjects.values() for f in one.findings if f.diagnosis == "uwsgi-unreachable"]
    return said | ({"why": causes[0]} if causes else {})


def main(config: str) -> None:
    """One JSON line for each number of descriptors that are left, from many to none."""
    settings = load(config)
    known = Journal(f"{settings.state_dir}/journal.db", read_only=True).load_known()
    for spare in (200, *range(12, -1, -1)):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        fresh = Sensors(settings.stack, Proc(), settings.state_dir)
        if spare % 2:
            look(fresh, known)
        taken = len(os.listdir("/proc/self/fd")) - 1
        lowest = [fd for fd in range(4096) if not os.path.exists(f"/proc/self/fd/{fd}")]
        limit = lowest[spare - 1] + 1 if spare else min(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 4096))
        found = look(fresh, known)
        print(json.dumps([spare, taken, found]))


if __name__ == "__main__":
    main(sys.argv[1])
