"""Bad policy files, each with the errors it must get in its first lines: all of them, in order, at the right place."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from paramedic.document import MAX_BYTES
from paramedic.policy.load import MOST_ERRORS, PolicyErrors
from paramedic.policy.schema import json_schema
from paramedic.rulebook import files_of, load_files

FOLDER = Path(__file__).parent / "bad_policies"
FILES = sorted(FOLDER.glob("*.yaml"))
EXPECT = "# expect: "
SHIPPED = Path(__file__).parents[2] / "policies"
STRUCTURAL = (
    "about_is_a_list",
    "action_as_text",
    "action_near",
    "action_two_in_one",
    "action_unknown",
    "argument_near",
    "argument_outage_yes",
    "argument_unknown",
    "at_clock",
    "cooldown_never",
    "do_empty",
    "do_missing",
    "do_text",
    "for_clock",
    "for_without_unit",
    "limit_an_hour",
    "limit_zero",
    "max_targets_all",
    "max_targets_half",
    "max_targets_many",
    "max_targets_yes",
    "max_targets_zero",
    "misfire_without_unit",
    "mode_off",
    "name_missing",
    "name_with_blank",
    "norway_no",
    "only_one_time",
    "over_wrong",
    "policies_as_mapping",
    "policies_empty",
    "policy_is_text",
    "recycle_argument_unknown",
    "recycle_most_half",
    "recycle_most_many",
    "recycle_most_too_many",
    "recycle_most_zero",
    "recycle_pause_without_unit",
    "recycle_stuck_maybe",
    "start_uwsgi_argument",
    "top_is_a_list",
    "top_key_misspelt",
    "unknown_key",
    "unless_text",
    "watch_misspelt",
    "when_is_a_number",
    "within_without_unit",
)
GOOD = "policies:\n  - { name: good, watch: uwsgi, when: uss > 1 GiB, do: [notify] }\n"


def errors_of(*paths: Path) -> list[str]:
    """The errors of loading these files together; none is fatal to the test."""
    try:
        load_files(paths)
    except PolicyErrors as wrong:
        return wrong.errors
    return []


def expected(path: Path) -> list[str]:
    """The errors that the first lines of a file ask for."""
    lines = path.read_text("utf-8").splitlines()
    return [line.removeprefix(EXPECT) for line in lines if line.startswith(EXPECT)]


def short(path: Path, errors: Sequence[str]) -> list[str]:
    """The errors without the file's name before them, and without its folder where a sentence names it again."""
    return [error.removeprefix(f"{path}:").replace(f"{path.parent}/", "") for error in errors]


def refusal_of(path: Path) -> str:
    """The only error of a file, the file's name cut off."""
    found = errors_of(path)
    assert len(found) == 1, found
    return found[0].removeprefix(f"{path}:")


def policy(**fields: str) -> str:
    """A policy file with one policy, some of its fields replaced or added."""
    all_fields = {"name": "p", "watch": "uwsgi", "when": "uss > 1 GiB", "do": "[notify]"} | fields
    return "policies:\n  -\n" + "".join(f"    {key}: {value}\n" for key, value in all_fields.items())


def test_the_folder_holds_what_is_tested() -> None:
    assert len(FILES) >= 60
    assert not [path.name for path in FOLDER.iterdir() if path.suffix != ".yaml"]


@pytest.mark.parametrize("letter", sorted({path.stem[0] for path in FILES}))
def test_a_bad_file_gets_exactly_these_errors(letter: str) -> None:
    for path in [path for path in FILES if path.stem[0] == letter]:
        found = short(path, errors_of(path))
        assert found == expected(path), path.name
        assert found, f"{path.name} was accepted"
        for error in found:
            assert re.match(r"[0-9]+:[0-9]+: cannot \S", error), error
            assert len(error.splitlines()) == 1
            assert error.isprintable()


def test_all_files_together_get_every_error_of_every_file() -> None:
    found = errors_of(*FILES)
    alone = [f"{path}:{error}" for path in FILES for error in expected(path)]
    assert len(alone) < MOST_ERRORS, "some would be left out"
    assert sorted(error.replace(f" {FOLDER}/", " ") for error in found) == sorted(alone)


def test_a_good_file_is_not_used_beside_a_bad_one(tmp_path: Path) -> None:
    good, missing = tmp_path / "good.yaml", tmp_path / "missing.yaml"
    good.write_text(GOOD)
    assert errors_of(good) == []
    found = errors_of(good, missing, FOLDER / "unit_missing.yaml")
    assert found[0] == f"{missing}:1:1: cannot read it: No such file or directory"
    assert short(FOLDER / "unit_missing.yaml", found[1:]) == expected(FOLDER / "unit_missing.yaml")


def test_more_errors_than_anybody_reads_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("policies:\n" + "".join(f"  - name: p{number}\n" for number in range(MOST_ERRORS + 100)))
    found = errors_of(path)
    assert len(found) == MOST_ERRORS + 1
    assert "cannot show 100 more errors" in found[-1]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (bytes(range(256)), "1:1: cannot read it: not UTF-8 text"),
        ("policies: [] # für den Webserver".encode("latin-1"), "1:1: cannot read it: not UTF-8 text"),
        (GOOD.encode("utf-16"), "1:1: cannot read it: not UTF-8 text"),
        (b"\x7fELF\x02\x01\x01" + bytes(64), "cannot read it as YAML: U+007F is no text"),
        (b"#" * (MAX_BYTES + 1), "1:1: cannot read it: larger than 128 KiB"),
    ],
    ids=["binary", "latin-1", "utf-16", "program", "too large"],
)
def test_what_is_no_text_is_refused_in_one_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(data)
    assert sentence in refusal_of(path)


def test_the_largest_file_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD + "#" * (MAX_BYTES - len(GOOD)))
    assert errors_of(path) == []


@pytest.mark.timeout(10)
def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    os.mkfifo(path)
    assert refusal_of(path) == "1:1: cannot read it: not a regular file"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(tmp_path: Path, device: str) -> None:
    assert refusal_of(Path(device)) == "1:1: cannot read it: not a regular file"
    link = tmp_path / "p.yaml"
    link.symlink_to(device)
    assert refusal_of(link) == "1:1: cannot read it: not a regular file"


def test_what_is_no_file_is_one_sentence(tmp_path: Path) -> None:
    assert refusal_of(tmp_path / "missing.yaml") == "1:1: cannot read it: No such file or directory"
    assert refusal_of(tmp_path) == "1:1: cannot read it: Is a directory"
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    assert refusal_of(loop) == "1:1: cannot read it: Too many levels of symbolic links"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 100_000, "cannot nest deeper than 24 levels"),
        ("{" * 100_000, "cannot use a list or mapping as a key: write a plain word"),
        ("- " * 60_000, "cannot nest deeper than 24 levels"),
        ("policies: [" + "*a, " * 5_000 + "]", "cannot use anchors and aliases: write the value out"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\npolicies: *c\n", "cannot use anchors and aliases"),
        (policy(when="(" * 100_000), "cannot read the condition: longer than 2000 characters"),
        (policy(when="not " * 400 + "busy > 1"), "cannot nest conditions deeper than 40 levels"),
        (policy(when="'" + "count(" * 300 + "'"), "cannot use count() inside count(): count() asks fields of children"),
        (policy(do="[" + "x, " * 400 + "]"), "as an action"),
        (policy(**{"for": "1" * 16_000}), 'as "for"'),
    ],
    ids=["lists", "mappings", "dashes", "aliases", "laughs", "condition", "nots", "counts", "actions", "digits"],
)
def test_a_hostile_file_is_refused_at_once(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    began = time.process_time()
    found = short(path, errors_of(path))
    assert time.process_time() - began < 2.0
    assert any(sentence in error for error in found), found[:3]
    assert all(re.match(r"[0-9]+:[0-9]+: cannot ", error) and error.isprintable() for error in found)


def test_a_huge_value_is_not_repeated_whole(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    huge = dict.fromkeys(("name", "watch", "at", "cooldown", "limit", "max_targets", "mode", "only"), "x y " * 2_000)
    path.write_text(policy(**huge))
    found = errors_of(path)
    assert len(found) == len(huge)
    assert max(map(len, found)) < 1_000


@pytest.mark.parametrize(
    ("escaped", "sign"), [(r"\e[31mred", "U+001B"), (r"a\u2028b", "U+2028"), (r"\ud800", "U+D800")]
)
def test_what_is_no_plain_text_is_refused(tmp_path: Path, escaped: str, sign: str) -> None:
    path = tmp_path / "p.yaml"
    for fields in ({"about": f'"{escaped}"'}, {f'"{escaped}"': "x"}):
        path.write_text(policy(**fields))
        (found,) = short(path, errors_of(path))
        assert found.endswith(f"cannot use the character {sign} in a text: remove it")


@pytest.mark.parametrize("escaped", [r"a\nb", r"a\n\n\tb"])
def test_what_a_value_holds_never_breaks_the_line(tmp_path: Path, escaped: str) -> None:
    path = tmp_path / "p.yaml"
    keys = ("name", "watch", "at", "cooldown", "limit", "max_targets", "mode", "only", f'"{escaped}"')
    path.write_text(policy(**dict.fromkeys(keys, f'"{escaped}"')))
    found = short(path, errors_of(path))
    assert len(found) == len(keys)
    assert all(error.isprintable() for error in found), found


def schema_faults(path: Path) -> list[str]:
    """What an editor with the JSON Schema says about a policy file."""
    document = yaml.safe_load(path.read_text("utf-8"))
    return [fault.message for fault in Draft202012Validator(json_schema()).iter_errors(document)]


def test_the_schema_is_one_and_accepts_every_shipped_policy() -> None:
    Draft202012Validator.check_schema(json_schema())
    paths = files_of([str(SHIPPED)])
    assert paths
    for path in paths:
        assert schema_faults(path) == [], path.name


@pytest.mark.parametrize("stem", STRUCTURAL)
def test_the_schema_rejects_what_is_wrong_in_its_structure(stem: str) -> None:
    assert schema_faults(FOLDER / f"{stem}.yaml")
