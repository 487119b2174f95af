"""The durable record: incidents, intents before actions, outcomes after, samples, and what must survive a restart."""

from paramedic.journal.readings import facts_from_json, facts_to_json, subject_of
from paramedic.journal.samples import Recorder, recall_windows, recorded
from paramedic.journal.store import Journal, JournalUnusable
from paramedic.journal.told import as_json, history

__all__ = [
    "Journal",
    "JournalUnusable",
    "Recorder",
    "as_json",
    "facts_from_json",
    "facts_to_json",
    "history",
    "recall_windows",
    "recorded",
    "subject_of",
]
