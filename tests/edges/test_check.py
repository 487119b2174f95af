"""What `paramedic check` finds beside policies: files in each other's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paramedic.cli import run_cli

INI, CONF = "[uwsgi]\nmaster = true\n", "[supervisord]\npidfile = /run/s.pid\n"


def errors_of(folder: Path, capsys: pytest.CaptureFixture[str], ini: str, conf: str) -> list[str]:
    """Those of a stack whose ini and conf are these two."""
    config = folder / "paramedic.yaml"
    stack = f"{{ uwsgi: {{ web: {{ ini: {ini} }} }}, supervisor: {{ main: {{ conf: {conf} }} }} }}"
    config.write_text(f"state_dir: {folder}/state\nruntime_dir: {folder}/run\npolicies: [shipped]\nstack: {stack}\n")
    code = run_cli(["check", "--config", str(config), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert code == (2 if document["errors"] else 0)
    found: list[str] = document["errors"]
    return found


def test_an_ini_and_a_conf_in_each_others_place_are_told_with_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ini, conf = tmp_path / "web.ini", tmp_path / "supervisord.conf"
    ini.write_text(INI)
    conf.write_text(CONF)
    assert errors_of(tmp_path, capsys, str(ini), str(conf)) == []
    assert errors_of(tmp_path, capsys, str(conf), str(ini)) == [
        f"{conf}:1:1: cannot use it as stack.uwsgi.web.ini: it has a section [supervisord] and none [uwsgi]; "
        "write the path of the other file there",
        f"{ini}:1:1: cannot use it as stack.supervisor.main.conf: it has a section [uwsgi] and none [supervisord]; "
        "write the path of the other file there",
    ]


@pytest.mark.parametrize(
    ("ini", "conf"),
    [
        (INI + CONF, CONF + INI),
        ("; all of it is included\n", "; [uwsgi] is only a word here\n"),
        ("[web]\nmaster = true\n", "[include]\nfiles = main.d/*\n"),
    ],
)
def test_what_may_be_right_is_not_called_wrong(
    ini: str, conf: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "web.ini").write_text(ini)
    (tmp_path / "supervisord.conf").write_text(conf)
    assert errors_of(tmp_path, capsys, f"{tmp_path}/web.ini", f"{tmp_path}/supervisord.conf") == []
