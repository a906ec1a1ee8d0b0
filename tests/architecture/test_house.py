"""Rules of the house that no linter knows, as tests."""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "sealwright"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ALL_CODE = sorted([*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
TARGETS = ("help", "setup", "demo", "check", "test", "soak", "interop", "bench", "lint", "format", "docs", "clean")
EXTRAS = {"server", "postgres", "pkcs11", "aws", "azure", "google"}

# Measured at start-up (docs/decisions/0004), or refused for other reasons given there.
REFUSED = {"requests", "httpx", "aiohttp", "fastapi", "pydantic"}
# An exception from a rule names the rule and, after a dash, why.
EXCEPTION = re.compile(r"#\s*(noqa|type:\s*ignore|pragma:\s*no)")
REASONED = re.compile(r"#\s*(noqa: [A-Z0-9, ]+|type:\s*ignore\[[a-z0-9, -]+\]|pragma: no (cover|branch))\s+[-#]\s*\S")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _nothing(found: list[str]) -> None:
    """Fail with the whole list of what should not have been found."""
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def _calls(path: Path, function: str) -> Iterator[int]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
            yield node.lineno


def test_no_file_is_longer_than_400_lines() -> None:
    long = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    _nothing([f"{name}: {count} lines" for name, count in long.items() if count > 400])


def test_only_the_command_line_prints() -> None:
    quiet = [path for path in SOURCES if path.relative_to(PACKAGE).parts[0] not in {"cli", "__main__.py"}]
    _nothing([f"{_name(path)}:{line}" for path in quiet for line in _calls(path, "print")])


def test_packages_that_were_refused_are_not_imported() -> None:
    found = [
        f"{_name(path)}: {name}" for path in SOURCES for name in _imports(path) if name.split(".", 1)[0] in REFUSED
    ]
    _nothing(found)


def test_the_asn1_codec_is_reached_through_one_module_only() -> None:
    codec = "cryptography.hazmat.asn1"
    users = {_name(path) for path in SOURCES if any(f"{name}.".startswith(f"{codec}.") for name in _imports(path))}
    assert users == {"src/sealwright/structures/asn1.py"}


def test_the_asn1_codec_is_pinned_to_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [line for line in project["dependencies"] if line.startswith("cryptography==")]


def test_every_error_of_ours_is_in_the_one_tree() -> None:
    # Only domain/errors.py may derive from a built-in exception; a private signal stays in its module.
    strays = [
        f"{_name(path)}: {node.name}"
        for path in SOURCES
        if path != PACKAGE / "domain" / "errors.py"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and any(isinstance(base, ast.Name) and base.id in {"Exception", "ValueError", "OSError"} for base in node.bases)
    ]
    _nothing(strays)


def test_whoever_catches_everything_says_why() -> None:
    silent = [
        f"{_name(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ExceptHandler) and _catches_everything(node) and not _raises_again(node)
        if node.lineno not in {line for line, text in _comments(path) if len(text.split()) > 2}
    ]
    _nothing(silent)


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _EVERYTHING) for kind in kinds)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(statement, ast.Raise) and statement.exc is None for statement in handler.body)


_EVERYTHING = {"Exception", "BaseException"}


def test_every_exception_from_a_rule_has_a_reason() -> None:
    silent = [
        f"{_name(path)}:{line} {text}"
        for path in ALL_CODE
        for line, text in _comments(path)
        if EXCEPTION.match(text) and not REASONED.match(text)
    ]
    _nothing(silent)


def test_nothing_is_left_to_do_in_the_tree() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?! -)")
    left = [f"{_name(path)}:{line}" for path in ALL_CODE for line, text in _comments(path) if words.search(text)]
    _nothing(left)


def test_the_tests_of_a_room_stand_in_a_folder_of_its_name() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    folders = {path.name for path in (ROOT / "tests" / "unit").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders - rooms == set()


def test_every_extra_that_the_readers_were_promised_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) >= EXTRAS


def test_what_a_publisher_installs_brings_no_server() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {re.split(r"[=<>\[ ]", line)[0] for line in project["dependencies"]}
    assert base == {"click", "cryptography", "msgspec", "urllib3"}


def test_the_ci_runs_what_a_developer_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^\s*(if )?make( --no-print-directory)? test\b", script, re.MULTILINE)
    assert "set -euo pipefail" in script


@pytest.mark.parametrize("target", TARGETS)
def test_every_promised_target_of_make_explains_itself(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:.*## \w", makefile, re.MULTILINE)


def test_the_make_targets_read_the_version_of_uv_that_the_lock_accepts() -> None:
    bootstrap = (ROOT / "scripts" / "bootstrap").read_text(encoding="utf-8")
    pinned = re.search(r"^uv_version=(\d+)\.(\d+)\.\d+$", bootstrap, re.MULTILINE)
    assert pinned is not None
    assert (int(pinned[1]), int(pinned[2])) >= (0, 9)
