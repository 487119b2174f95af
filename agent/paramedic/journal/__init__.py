"""The durable record: incidents, intents before actions, outcomes after, and what must survive a restart."""

from paramedic.journal.store import Journal, JournalUnusable
from paramedic.journal.told import as_json, history

__all__ = ["Journal", "JournalUnusable", "as_json", "history"]
