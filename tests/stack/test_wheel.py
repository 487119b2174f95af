"""The wheel alone, in an empty environment: what a server gets. The environment lies in the checkout's own .venv."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.stack import EmbeddedStack

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def alone() -> Iterator[Path]:
    """The bin folder of a new environment with the wheel and what the wheel itself asks for."""
    folder = Path(tempfile.mkdtemp(prefix="alone-", dir=TOP / ".venv"))
    folder.chmod(0o755)
    try:
        venv.create(folder, with_pip=True)
        wheels = [str(wheel) for wheel in (TOP / "dist").glob("*.whl")]
        assert len(wheels) == 1
        argv = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels]
        subprocess.run(argv, check=True, timeout=110)
        yield folder / "bin"
    finally:
        shutil.rmtree(folder)


def test_the_wheel_alone_heals(alone: Path, lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    daemon = stack.start_supervisord()
    stack.write_config()
    program, config = str(alone / "paramedic"), ["--config", str(stack.config)]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *words, *config], capture_output=True, text=True, timeout=60, env=stack.environment()
        )

    checked = run("check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "socket-lost" in checked.stdout
    assert run("run", "--once").returncode == 0
    stack.socket.unlink()
    broken = run("doctor")
    assert broken.returncode == 1
    assert "socket-missing on supervisor:main" in broken.stdout
    healed = run("run", "--once")
    assert healed.returncode == 0, healed.stderr
    assert "RUNNING" in stack.ctl("status")
    assert stack.supervisords() == [daemon]
    assert "healed" in run("history").stdout
    assert sys.prefix not in checked.stdout
