"""The docs say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paramedic.model.vocabulary import DIAGNOSES
from paramedic.policy.reference import reference
from paramedic.track import diagram
from unit.test_load import load_text

TOP = Path(__file__).parents[2]


def test_every_diagnosis_is_explained() -> None:
    headings = re.findall(r"^## ([\w-]+)", (TOP / "docs" / "diagnoses.md").read_text(), re.M)
    assert set(DIAGNOSES) <= set(headings)


def test_the_diagram_in_the_docs_is_the_tables_own() -> None:
    assert f"```mermaid\n{diagram()}\n```" in (TOP / "docs" / "policies.md").read_text()


def test_the_policy_reference_is_the_one_the_tables_write() -> None:
    assert (TOP / "docs" / "policy-reference.md").read_text() == reference(), "make docs writes it anew"


@pytest.mark.parametrize("name", ["README.md", *(str(p.relative_to(TOP)) for p in (TOP / "docs").rglob("*.md"))])
def test_every_policy_in_the_docs_loads(name: str, tmp_path: Path) -> None:
    text = (TOP / name).read_text()
    for block in re.findall(r"```yaml\n(policies:\n.*?)```", text, re.S):
        assert load_text(tmp_path, block)


@pytest.mark.parametrize("name", ["README.md", *(str(p.relative_to(TOP)) for p in (TOP / "docs").rglob("*.md"))])
def test_every_link_leads_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", (TOP / name).read_text()):
        assert (TOP / name).parent.joinpath(link).exists(), link


def test_every_line_of_the_unit_has_its_reason() -> None:
    reason, bare = False, []
    for line in (TOP / "systemd" / "paramedic.service").read_text().splitlines():
        if line.startswith("#"):
            reason = True
        elif not line.strip():
            reason = False
        elif not line.startswith("[") and not reason:
            bare.append(line)
    named = "Description=paramedic, first responder for uWSGI, Supervisor and Daphne"
    assert bare == [named, "Documentation=man:paramedic(1)", "WantedBy=multi-user.target"]
