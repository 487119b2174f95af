"""What several verbs need: the settings, the policies, and the record of the agent."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import paramedic
from paramedic.journal import Journal
from paramedic.model.policy import Policy
from paramedic.model.stack import Settings
from paramedic.policy import load as policies
from paramedic.settings import DEFAULT_PATH, load


def settings_at(path: str | None) -> Settings:
    """The settings of --config, or of the default place."""
    return load(path or DEFAULT_PATH)


def shipped_policies() -> Path:
    """The policies that came with this installation; in a checkout the folder at its top."""
    package = Path(paramedic.__file__).parent
    installed = package / "shipped" / "policies"
    return installed if installed.is_dir() else package.parent.parent / "policies"


def policies_of(settings: Settings) -> tuple[Policy, ...]:
    """The policies the settings name."""
    return policies.load(policies.files_of(settings.policies, shipped_policies()))


def journal_of(settings: Settings) -> Journal | None:
    """The record, for reading; None where no agent has ever run."""
    path = Path(settings.state_dir) / "journal.db"
    return Journal(str(path), read_only=True) if path.exists() else None


def when(wall: float) -> str:
    """A moment in local time."""
    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S")
