"""The `paramedic` command."""

from __future__ import annotations

import sys

from paramedic.cli import run_cli


def main() -> None:
    """Run the verb and leave with its exit code."""
    sys.exit(run_cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
