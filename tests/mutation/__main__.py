"""Lay out a copy of the package and its unit tests, let mutmut change the copy line by line, and print what survived.

The copy is needed because mutmut wants the package at the top; it also keeps the checkout clean.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]
WORK = TOP / ".mutants"
MUTATED = ["paramedic/evaluate/*.py", "paramedic/decide/*.py", "paramedic/track.py"]
TESTS = ["evaluate", "track", "decide", "guards", "ladder", "crowd", "target", "breaker", "engine"]
CONFIG = """
[tool.pytest.ini_options]
addopts = "--import-mode=importlib -p no:cacheprovider -p no:xdist"
pythonpath = [".", "tests"]

[tool.mutmut]
source_paths = ["paramedic"]
only_mutate = {mutated}
also_copy = ["policies", "docs", "README.md"]
pytest_add_cli_args_test_selection = {tests}
process_isolation = "fork"
"""


def lay_out() -> None:
    """The copy: the package at the top, what its tests read beside it."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(TOP / "agent" / "paramedic", WORK / "paramedic", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests", "policies", "docs"):
        shutil.copytree(TOP / name, WORK / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / "README.md", WORK)
    found = [f"tests/unit/test_{name}.py" for name in TESTS if (TOP / f"tests/unit/test_{name}.py").exists()]
    (WORK / "pyproject.toml").write_text(CONFIG.format(mutated=json.dumps(MUTATED), tests=json.dumps(found)))


def main() -> int:
    """0 when at least 90 % of the mutants were killed."""
    lay_out()
    mutmut = [sys.executable, "-m", "mutmut"]
    subprocess.run([*mutmut, "run", *sys.argv[1:]], cwd=WORK, check=False)
    told = subprocess.run([*mutmut, "results"], cwd=WORK, check=True, capture_output=True, text=True).stdout
    subprocess.run([*mutmut, "export-cicd-stats"], cwd=WORK, check=True, capture_output=True)
    stats = json.loads((WORK / "mutants" / "mutmut-cicd-stats.json").read_text())
    killed = stats["killed"] + stats.get("timeout", 0)
    share = 100.0 * killed / stats["total"]
    print(told)
    print(f"{killed} of {stats['total']} mutants killed: {share:.1f} %; {json.dumps(stats)}")
    return 0 if share >= 90.0 else 1


if __name__ == "__main__":
    sys.exit(main())
