"""What several verbs need: the settings, the policies, and the record of the agent."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from paramedic.host import clock, lock
from paramedic.host.proc import Proc
from paramedic.host.status_socket import NoAnswer, ask
from paramedic.journal import Journal, facts_from_json
from paramedic.model.policy import Policy
from paramedic.model.stack import Settings
from paramedic.model.units import render_seconds
from paramedic.published import subjects
from paramedic.rulebook import load_trusted
from paramedic.settings import DEFAULT_PATH, load

STALE_S = 30.0


class NoAgent(Exception):
    """No agent runs, or it does not finish its looks; the message says which, and what to do."""


def settings_at(path: str | None) -> Settings:
    """The settings of --config, or of the default place."""
    return load(path or DEFAULT_PATH)


def policies_of(settings: Settings) -> tuple[Policy, ...]:
    """The policies the settings name."""
    return load_trusted(settings.policies)


def journal_of(settings: Settings) -> Journal | None:
    """The record, for reading; None where no agent has ever run."""
    path = Path(settings.state_dir) / "journal.db"
    return Journal(str(path), read_only=True, boot_id=Proc().boot_id()) if path.exists() else None


def published(settings: Settings) -> dict[str, Any]:
    """What the running agent says of its last look; raises NoAgent."""
    try:
        document: dict[str, Any] = json.loads(ask(settings.runtime_dir))
    except NoAnswer as none:
        pid = _holder(settings.state_dir)
        if pid is not None:
            raise NoAgent(f"agent {pid} runs, but cannot be asked: {none}; see its log") from none
        if not none.is_absent:
            raise NoAgent(f"cannot ask the agent at {settings.runtime_dir}: {none}") from none
        raise NoAgent(f"no paramedic runs with {settings.state_dir}; start it, or ask `paramedic doctor`") from none
    age_s = clock.wall() - document["agent"]["at"]
    if age_s > max(STALE_S, 3 * settings.interval_s):
        pid = document["agent"]["pid"]
        raise NoAgent(f"agent {pid} runs, but its last finished look is {render_seconds(age_s)} old: see its log")
    document["subjects"] = subjects(facts_from_json(document["facts"]))
    return document


def _holder(state_dir: str) -> int | None:
    try:
        return lock.holder(f"{state_dir}/lock")
    except PermissionError:
        return None


def when(wall: float) -> str:
    """A moment in local time."""
    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S")
