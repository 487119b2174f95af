"""policy/load.py and settings.py: all errors at once, each with its place; the traps of YAML 1.1 closed."""

from __future__ import annotations

from pathlib import Path

import pytest

import paramedic
from paramedic.document import DocumentError, parse
from paramedic.model.policy import Limit, Policy
from paramedic.policy.load import PolicyErrors
from paramedic.rulebook import files_of, shipped_policies
from paramedic.rulebook import load_files as load
from paramedic.settings import SettingsError
from paramedic.settings import load as load_settings

GOOD = "policies:\n  - { name: a, watch: uwsgi, when: uss > 1 GiB, do: [chain_reload] }\n"


def errors_of(tmp_path: Path, text: str) -> list[str]:
    """The errors of one policy file, its folder cut off."""
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(PolicyErrors) as caught:
        load([file])
    return [error.removeprefix(f"{tmp_path}/") for error in caught.value.errors]


def load_text(tmp_path: Path, text: str) -> tuple[Policy, ...]:
    """The policies of a file with this text."""
    file = tmp_path / "p.yaml"
    file.write_text(text)
    return load([file])


def policy(**fields: str) -> str:
    """A policy file with one policy, some of its fields replaced; an empty value drops the field."""
    all_fields = {"name": "a", "watch": "uwsgi", "when": "uss > 1 GiB", "do": "[chain_reload]"} | fields
    lines = [f"    {name}: {value}" for name, value in all_fields.items() if value]
    return "policies:\n  -\n" + "\n".join(lines) + "\n"


def test_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(GOOD)
    found = load([file])[0]
    assert (found.for_s, found.cooldown_s, found.limit, found.max_targets) == (0.0, 300.0, Limit(3, 3600.0), 1)
    assert found.mode == "act"


def test_a_harmless_policy_has_no_cooldown_and_no_limit(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(policy(do="[notify]"))
    found = load([file])[0]
    assert (found.cooldown_s, found.limit) == (0.0, Limit(0, 0.0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (policy(name=""), "p.yaml:3:5: cannot use this policy: name missing"),
        (policy(watch="uwsgy"), 'p.yaml:4:12: cannot use "uwsgy" as watch: it is one of host'),
        (policy(when="us > 1 GiB"), 'p.yaml:5:11: cannot find "us" in uwsgi; did you mean "uss"?'),
        (policy(do="[reload]"), 'p.yaml:6:10: cannot use "reload" as an action'),
        (policy(do="[restore_socket]"), "cannot restore_socket a uwsgi: it works on supervisor"),
        (policy(do="[]"), 'cannot use an empty "do"'),
        (policy(do="chain_reload"), 'cannot use text as "do": it is a list'),
        (
            policy(do="[{ chain_reload: { withn: 5m } }]"),
            'cannot use "withn" in chain_reload: no such key; did you mean',
        ),
        (policy(do="[{ chain_reload: { within: 5 } }]"), 'cannot read "5" as within: the unit is missing'),
        (policy(for_="1m"), 'cannot use "for_" in a policy: no such key; did you mean "for"?'),
        (policy(cooldown="fast"), 'cannot read "fast" as "cooldown"'),
        (policy(limit="6 an hour"), 'cannot read "6 an hour" as a limit: write e.g. "6 per 1h"'),
        (policy(max_targets="0"), 'cannot use "0" as max_targets: it is a count from 1 to 1000'),
        (policy(mode="dry"), 'cannot use "dry" as mode: it is one of act, observe'),
        (policy(at="25 3 * *"), 'cannot read "25 3 * *" as a time: it has not five fields'),
        (policy(at='"61 3 * * *"'), 'cannot read "61 3 * * *" as a time'),
        (policy(at='"1 3 * * *"') + "    for: 1m\n", 'cannot use "for" with "at"'),
        ("policies: 5\n", "cannot use a number as policies: it is a list"),
        ("rules: []\n", 'cannot use "rules" in a policy file: no such key'),
        ("", 'cannot find any policies: the file starts with "policies:"'),
        ("policies:\n  - name: a\n    name: b\n", 'p.yaml:3:5: cannot set "name" twice'),
        ("policies: &x []\nother: *x\n", "cannot use anchors and aliases"),
        ("policies: [\n", "cannot read it as YAML"),
        ("policies: " + "[" * 60 + "]" * 60 + "\n", "cannot nest deeper than 24 levels"),
        ("a" * 300_000, "cannot read it: larger than 128 KiB"),
        ("policies: !!python/object:os.system []\n", "cannot use tags (!...)"),
    ],
)
def test_every_mistake_is_named_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    found = errors_of(tmp_path, text)
    assert any(expected in error for error in found), found


def test_all_errors_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy(watch="x", limit="y"))
    (tmp_path / "b.yaml").write_text(policy(do="[z]"))
    with pytest.raises(PolicyErrors) as caught:
        load(files_of([str(tmp_path)], Path("/nowhere")))
    assert len(caught.value.errors) == 4, caught.value.errors


def test_a_name_is_unique_over_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD)
    with pytest.raises(PolicyErrors, match=r'cannot call it "a": .*a.yaml:2 has that name'):
        load([tmp_path / "a.yaml", tmp_path / "b.yaml"])


def test_the_traps_of_yaml_1_1_are_closed() -> None:
    found = parse("{ a: on, b: off, c: 22:22, d: 1e3, e: yes, f: 0o14, g: true, h: 7, i: 0.5 }", "x").value
    assert isinstance(found, dict)
    values = {name: item.value for name, item in found.items()}
    assert values == {
        "a": "on",
        "b": "off",
        "c": "22:22",
        "d": "1e3",
        "e": "yes",
        "f": "0o14",
        "g": True,
        "h": 7,
        "i": 0.5,
    }


def test_binary_rubbish_is_one_sentence() -> None:
    with pytest.raises(DocumentError, match="x:1:4: cannot read it as YAML"):
        parse("a: \x00\x01", "x")


def test_the_shipped_policies_are_in_the_installed_package_and_load() -> None:
    folder = shipped_policies()
    assert Path(paramedic.__file__).parent in folder.parents, "the tests do not run on the installed wheel"
    found = load(files_of(["shipped"], folder))
    names = {policy.name for policy in found}
    assert {"socket-lost", "daemon-dead", "orphaned", "host-memory-high", "nightly-reclaim"} <= names
    for policy_ in found:
        assert policy_.about, f"{policy_.name} does not say what it is about"


SETTINGS = "stack: { supervisor: { main: { conf: a.conf } } }\n"


def test_settings_resolve_against_their_file(tmp_path: Path) -> None:
    file = tmp_path / "paramedic.yaml"
    file.write_text(SETTINGS + "state_dir: s\npolicies: [shipped, p]\n")
    found = load_settings(str(file))
    assert found.stack.supervisor[0].conf == f"{tmp_path}/a.conf"
    assert (found.state_dir, found.policies) == (f"{tmp_path}/s", ("shipped", f"{tmp_path}/p"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("intervall: 5s", 'cannot use "intervall" in the configuration: no such key; did you mean "interval"?'),
        ("interval: 5", 'cannot read "5" as interval: the unit is missing; write one of ms, s, m, h, d'),
        ("interval: 1ms", "it is between 200ms and 5m"),
        ("mode: off", 'cannot use "off" as mode'),
        ("stack: { uwsgi: { web: { } } }", 'cannot use stack.uwsgi.web: "ini" is missing'),
        ("stack: { supervisor: { 'a b': { conf: x } } }", 'cannot use "a b" as a name'),
        ("notify: { command: [page-me] }", 'cannot run "page-me" as notify.command: its path is not absolute'),
        ("notify: { command: page-me }", "cannot use text as notify.command: it is a list"),
        ("stack: [1]", "cannot use a list as stack: it is a mapping"),
    ],
)
def test_settings_errors_say_what_to_do(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text + "\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(str(file))
    assert expected in caught.value.errors[0]
    assert caught.value.errors[0].startswith(f"{file}:1:")


def test_a_missing_configuration_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read it: No such file"):
        load_settings(str(tmp_path / "none.yaml"))
