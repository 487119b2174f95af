"""paramedic: the first responder for unattended Django servers."""

__version__ = "0.1.0"
