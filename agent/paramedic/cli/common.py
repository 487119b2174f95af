"""What several verbs need: the settings, the policies, and the record of the agent."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from paramedic.host import clock, lock
from paramedic.host.proc import Proc
from paramedic.journal import Journal
from paramedic.model.policy import Policy
from paramedic.model.stack import Settings
from paramedic.model.units import render_seconds
from paramedic.rulebook import files_of, load_files
from paramedic.settings import DEFAULT_PATH, load

STALE_S = 30.0


class NoAgent(Exception):
    """No agent runs, or it does not finish its looks; the message says which, and what to do."""


def settings_at(path: str | None) -> Settings:
    """The settings of --config, or of the default place."""
    return load(path or DEFAULT_PATH)


def policies_of(settings: Settings) -> tuple[Policy, ...]:
    """The policies the settings name."""
    return load_files(files_of(settings.policies))


def journal_of(settings: Settings) -> Journal | None:
    """The record, for reading; None where no agent has ever run."""
    path = Path(settings.state_dir) / "journal.db"
    return Journal(str(path), read_only=True, boot_id=Proc().boot_id()) if path.exists() else None


def published(settings: Settings) -> dict[str, Any]:
    """What the running agent published after its last look; raises NoAgent."""
    pid = lock.holder(f"{settings.state_dir}/lock")
    path = Path(settings.runtime_dir) / "status.json"
    if pid is None or not path.exists():
        raise NoAgent(f"no paramedic runs with {settings.state_dir}; start it, or ask `paramedic doctor`")
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    age_s = clock.wall() - document["agent"]["at"]
    if document["agent"]["pid"] != pid or age_s > max(STALE_S, 3 * settings.interval_s):
        raise NoAgent(f"agent {pid} runs, but its last finished look is {render_seconds(age_s)} old: see its log")
    return document


def when(wall: float) -> str:
    """A moment in local time."""
    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S")
