"""A program of its own: `become.py [--detach] RECIPE` becomes the program of a recorded recipe, in its place or, with
--detach, in a session that nobody holds; `become.py --try` that of the recipe in the first line of stdin, the rest of
which is the program's own.

Started by `launch`, outside the agent's cgroup and sandbox where systemd is, so that the agent's end and limits never
reach the daemon. Standard library only, and little of it: before every daemon that is started again, and before every
notice, it runs where memory may be short.
"""

import json
import os
import resource
import stat
import sys
from contextlib import suppress

TRIED_FD = 3
MOST_RECIPE = 16 << 20


class Damaged(Exception):
    """A recipe that cannot be read, or is not one of ours."""


class Plan:
    """What a recipe (host/recipe.py) says of the process to become; raises Damaged where it says nothing whole."""

    def __init__(self, text: bytes) -> None:
        try:
            said = json.loads(text.decode("utf-8"))
            self.argv, self.cwd = [_word(word) for word in said["argv"]], _word(said["cwd"])
            self.env = {_word(name): _word(value) for name, value in said["env"].items()}
            self.uid, self.gid, self.umask = int(said["uid"]), int(said["gid"]), int(said["umask"])
            self.groups = [int(group) for group in said["groups"]]
            self.limits = [(_word(name), (int(soft), int(hard))) for name, (soft, hard) in said["limits"].items()]
            self.output = None if said.get("output") is None else _word(said["output"])
        except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Damaged from error
        if not self.argv:
            raise Damaged


def _word(said: object) -> str:
    if not isinstance(said, str):
        raise TypeError
    return said


def recorded(path: str) -> bytes:
    """The text of the recipe at `path`, which must be a regular file of ours and no link: it says what root is to run.

    Raises OSError, or Damaged for what is none.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_size > MOST_RECIPE:
            raise Damaged
        return file.read()


def main(words: list[str]) -> int:
    """Become it; 1 and a sentence where that fails."""
    is_tried = words == ["--try"]
    try:
        plan = Plan(_given() if is_tried else recorded(words[-1] if words else ""))
    except (Damaged, OSError):
        return _failed("cannot launch: the recipe cannot be read")
    if "--detach" in words:
        return _detach(plan)
    if not is_tried:
        _silence()
    try:
        _become(plan)
    except OSError as error:
        return _failed(f"cannot run {plan.argv[0]} in {plan.cwd}: {error.strerror}")
    return 0


def _given() -> bytes:
    """The recipe in the first line of stdin; the rest is the program's own, and stdout is its answer from now on."""
    with open(0, "rb", closefd=False) as given:
        line = given.readline()
    os.lseek(0, len(line), os.SEEK_SET)
    os.dup2(1, TRIED_FD)
    os.dup2(2, 1)
    return line


def _detach(plan: Plan) -> int:
    """A grandchild becomes it; exec(2) closes its end of the pipe, and what comes through that is why it could not."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
            os.close(reader)
            _silence()
            _become(plan)
        except Exception as error:  # noqa: BLE001  there is nobody else to say it
            os.write(writer, (str(error) or type(error).__name__).encode())
        finally:
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as file:
        failure = file.read().decode()
    return _failed(f"cannot launch: {failure}") if failure else 0


def _failed(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    if null > 2:
        os.close(null)


def _become(plan: Plan) -> None:
    """Returns only by raising OSError."""
    for name, limit in plan.limits:
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), limit)
    if os.geteuid() == 0:
        os.setgroups(plan.groups)
        os.setgid(plan.gid)
        os.setuid(plan.uid)
    if plan.output is not None:
        _write_to(plan.output)
    os.chdir(plan.cwd)
    os.umask(plan.umask)
    os.execve(plan.argv[0], plan.argv, plan.env)  # noqa: S606 - there is no shell to want


def _write_to(output: str) -> None:
    """Its output into the file it wrote to before; opened as its own user, so that a link leads nowhere new."""
    with suppress(OSError):
        file = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK)
        if stat.S_ISREG(os.fstat(file).st_mode):
            os.dup2(file, 1)
            os.dup2(file, 2)
        os.close(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
