"""SHA-256 without OpenSSL, which weighs 4 MiB."""

from __future__ import annotations

from paramedic.host import lean

with lean.without("_hashlib"):
    from hashlib import sha256

__all__ = ["sha256"]
