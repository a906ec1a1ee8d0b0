"""The documents of the repository: what they point at exists, and what must be listed is listed."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]
DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RECORDS = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")

_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


def _anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_our_own_pages_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    lost = []
    for target in _LINK.findall(_FENCED.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        page = (document.parent / path).resolve() if path else document
        known = page.suffix != ".md" or not anchor or (page.is_file() and anchor in _anchors(page.read_text("utf-8")))
        if not page.exists() or not known:
            lost.append(target)
    assert lost == []


def test_every_decision_is_in_the_index_and_the_index_names_no_other() -> None:
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", index)) == [path.name for path in RECORDS]


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_decision_says_what_was_refused_and_what_follows(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert re.match(rf"# {record.name[:4]}: \S", text)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Situation", "Decision", "Refused", "Consequences"]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"])
def test_what_a_reader_looks_for_first_is_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def test_the_changelog_keeps_a_place_for_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.count("## [Unreleased]") == 1


def test_what_is_generated_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate-docs", "--check"], capture_output=True, check=False, text=True
    )
    if done.returncode:
        pytest.fail(f"run `make docs`:\n{done.stdout}{done.stderr}", pytrace=False)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_image_is_there_and_is_described(document: Path) -> None:
    for description, target in _IMAGE.findall(document.read_text(encoding="utf-8")):
        assert description
        assert (document.parent / target).is_file()


def test_images_are_well_formed_and_adapt_to_light_and_dark() -> None:
    images = sorted((ROOT / "docs" / "images").glob("*.svg"))
    assert images
    for image in images:
        ET.parse(image)  # noqa: S314 - our own file
        assert "prefers-color-scheme: dark" in image.read_text(encoding="utf-8")
