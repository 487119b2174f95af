"""The man page and the shell completions, from the parser itself: `python -m paramedic.cli.pages man|bash|zsh|fish`.

`make docs` writes them; they are no verb.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import paramedic
from paramedic.cli import parser
from paramedic.settings import DEFAULT_PATH

OF_EVERY_VERB = ("help", "config", "json")
FILE_NAMES = ("FILE", "PATH", "FILES")
_TAIL = f"""\
.SH EXIT STATUS
.TP
.B 0
fine
.TP
.B 1
findings, or not healed
.TP
.B 2
usage or configuration
.TP
.B 3
could not tell
.SH FILES
.TP
.I {DEFAULT_PATH}
The configuration.
.TP
.I /var/lib/paramedic
The journal, how daemons were started, notices on their way, pauses. For an ordinary user ~/.local/state/paramedic.
.TP
.I /run/paramedic
The socket over which the running agent answers
.BR "paramedic status" .
.SH SIGNALS
.B paramedic run
takes over changed policies on SIGHUP, all or none, and on SIGTERM or SIGINT finishes what it is at and leaves.
.SH ENVIRONMENT
.TP
.BR XDG_STATE_HOME ", " XDG_RUNTIME_DIR
Where an ordinary user's agent keeps its files, unless the configuration says so.
.TP
.BR NO_COLOR ", " COLUMNS
Heeded by
.BR "paramedic top" .
.TP
.BR NOTIFY_SOCKET ", " WATCHDOG_USEC
Set by systemd for
.BR "paramedic run" .
.SH SEE ALSO
.BR supervisord (1),
.BR uwsgi (1),
.BR systemd-tmpfiles (8),
.BR tmpfiles.d (5)
"""


def verbs() -> dict[str, argparse.ArgumentParser]:
    """Every verb's parser by its name."""
    choices = next(action.choices for action in parser()._actions if isinstance(action.choices, dict))
    return dict(choices)


def options(verb: argparse.ArgumentParser) -> list[argparse.Action]:
    """What stands behind the verb, its words before its options."""
    shown = [action for action in verb._actions if action.help != argparse.SUPPRESS]
    return sorted(shown, key=lambda action: bool(action.option_strings))


def takes_value(action: argparse.Action) -> bool:
    """Whether a word belongs to the option."""
    return action.nargs != 0


def values(action: argparse.Action) -> list[str]:
    """The words it may have, where only those."""
    return [str(choice) for choice in action.choices or ()]


def is_file(action: argparse.Action) -> bool:
    """Whether its value is a file's name."""
    return action.metavar in FILE_NAMES


def man() -> str:
    """The page in man(7)."""
    found = [f'.TH PARAMEDIC 1 "" "paramedic {paramedic.__version__}"\n.SH NAME\n']
    found += [r"paramedic \- first responder for uWSGI, Supervisor and Daphne", "\n.SH SYNOPSIS\n.B paramedic\n"]
    found += [".I VERB\n[\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fB\\-\\-json\\fR] ...\n.SH DESCRIPTION\n"]
    found += [_roff(parser().description or ""), "\n.SH OPTIONS OF EVERY VERB\n"]
    found += [_explained(action) for action in options(next(iter(verbs().values()))) if action.dest in OF_EVERY_VERB]
    found.append(".SH VERBS\n")
    for name, verb in verbs().items():
        own = [action for action in options(verb) if action.dest not in OF_EVERY_VERB]
        words = [_word(action) for action in own if not action.option_strings]
        found.append(f".SS {' '.join((_roff(name), *words))}\n{_paragraphs(verb.description or name)}")
        found += [_explained(action) for action in own if action.help]
    return "".join(found) + _TAIL


def _word(action: argparse.Action) -> str:
    word = _signature(action)
    return {"?": f"[{word}]", "*": f"[{word} ...]", "+": f"{word} ..."}.get(str(action.nargs), word)


def _explained(action: argparse.Action) -> str:
    return f".TP\n{_signature(action)}\n{_roff(_help(action))}\n"


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%") or f"the {action.metavar or action.dest}"


def _signature(action: argparse.Action) -> str:
    value = action.metavar or "|".join(values(action)) or action.dest.upper()
    names = ", ".join(rf"\fB{_roff(name)}\fR" for name in action.option_strings)
    return f"{names} \\fI{_roff(str(value))}\\fR".strip() if takes_value(action) else names


def _paragraphs(text: str) -> str:
    return "".join(f".PP\n{_roff(' '.join(part.split()))}\n" for part in text.split("\n\n"))


def _roff(text: str) -> str:
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("\n", " ")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def bash() -> str:
    """For bash(1), with or without bash-completion."""
    cases = "".join(f"        {name}) {_bash_words(verb)} ;;\n" for name, verb in verbs().items())
    after = [
        f'        "{name} {action.option_strings[-1]}") {_bash_values(action)} ;;\n'
        for name, verb in verbs().items()
        for action in options(verb)
        if action.option_strings and takes_value(action) and action.dest not in OF_EVERY_VERB
    ]
    return f"""\
# bash completion for paramedic, written from its parser by `make docs`
_paramedic() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} verb=${{COMP_WORDS[1]}} words= files=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{" ".join(verbs())} --help --version"
    else
        case $verb in
{cases}        esac
        case "$verb $before" in
        *" --config") words= files=1 ;;
{"".join(after)}        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    if [ -n "$files" ] && [ "${{word#-}}" = "$word" ]; then
        COMPREPLY+=($(compgen -f -- "$word"))
        compopt -o filenames 2>/dev/null
    fi
}}
complete -F _paramedic paramedic
"""


def _bash_words(verb: argparse.ArgumentParser) -> str:
    flags = [flag for action in options(verb) for flag in action.option_strings if flag.startswith("--")]
    takes_files = any(is_file(action) for action in options(verb) if not action.option_strings)
    return f'words="{" ".join(flags)}"{" files=1" if takes_files else ""}'


def _bash_values(action: argparse.Action) -> str:
    return f'words="{" ".join(values(action))}" files={"1" if is_file(action) else ""}'


def zsh() -> str:
    """For zsh(1): an autoloaded function of that name."""
    cases = []
    for name, verb in verbs().items():
        words = [_zsh_word(action) for action in options(verb)]
        cases.append(f"    {name}) _arguments {' '.join(words)} ;;\n")
    listed = "\n".join(f"    {_quoted(f'{name}:{_summary(verb)}')}" for name, verb in verbs().items())
    return f"""\
#compdef paramedic
# zsh completion for paramedic, written from its parser by `make docs`
local -a verbs=(
{listed}
)
if (( CURRENT == 2 )); then
    _describe verb verbs
else
    local verb=$words[2]
    shift words
    (( CURRENT-- ))
    case $verb in
{"".join(cases)}    esac
fi
"""


def _zsh_word(action: argparse.Action) -> str:
    what = f"({' '.join(values(action))})" if values(action) else "_files" if is_file(action) else " "
    value = f":{action.metavar or action.dest}:{what}" if takes_value(action) else ""
    if not action.option_strings:
        return _quoted(f"{'*' if action.nargs in ('*', '+') else ''}{value}")
    told = _help(action).replace("[", "(").replace("]", ")").replace(":", r"\:")
    return _quoted(f"{action.option_strings[-1]}[{told}]{value}")


def fish() -> str:
    """For fish(1)."""
    found = ["# fish completion for paramedic, written from its parser by `make docs`\ncomplete -c paramedic -f\n"]
    for name, verb in verbs().items():
        found.append(f"complete -c paramedic -n __fish_use_subcommand -a {name} -d {_quoted(_summary(verb))}\n")
        for action in options(verb):
            found.append(f"complete -c paramedic -n '__fish_seen_subcommand_from {name}'{_fish_word(action)}\n")
    return "".join(found)


def _fish_word(action: argparse.Action) -> str:
    names = "".join(f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}" for flag in action.option_strings)
    given = f" -a {_quoted(' '.join(values(action)))}" if values(action) else ""
    required = (" -r" if action.option_strings and takes_value(action) else "") + (" -F" if is_file(action) else "")
    return f"{names}{required}{given} -d {_quoted(_help(action))}"


def _summary(verb: argparse.ArgumentParser) -> str:
    return (verb.description or "").splitlines()[0]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "man": ("docs/paramedic.1", man),
    "bash": ("systemd/completions/paramedic", bash),
    "zsh": ("systemd/completions/_paramedic", zsh),
    "fish": ("systemd/completions/paramedic.fish", fish),
}

if __name__ == "__main__":
    print(PAGES[sys.argv[1]][1](), end="")
