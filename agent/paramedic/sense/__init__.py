"""Sensors: host -> Sample | Unreadable(reason). They look, and never act on what they see."""
