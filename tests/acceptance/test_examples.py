"""The shell examples of the documents, executed as a reader would type them, against a real deployment.

In a fenced block marked `console`, a line that begins with `$ ` is a command and one that begins with `> ` goes
on with it; every other line must be found in the output (standard output and error together), in this order. There `…`
stands for any text on the line. A command ends with exit code 0, unless `$ echo $?` follows it. All examples of
a page run in one shell, in a directory that holds a deployment and some programs.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sealwright.servers.embedded import running
from tests.acceptance.world import PROGRAM, House, make

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/publisher.md", "docs/relying-party.md", "docs/auditor.md", "docs/operator.md")
UNSIGNED = ("app.exe", "setup.exe", "tool.exe", "unsigned.exe")

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END = "\x1e"


@dataclass
class Step:
    """A command, and lines that its output must hold."""

    command: str
    expected: list[str] = field(default_factory=list)


def steps_of(page: Path) -> list[Step]:
    steps: list[Step] = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:]))
            elif line.startswith("> "):
                steps[-1].command += f"\n{line[2:]}"
            elif line.strip():
                steps[-1].expected.append(line)
    return steps


def pattern_of(line: str) -> str:
    """Return what a line of an example looks for: its words in order, `…` being any text."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in line.split("…")]
    return ".*?".join(rf"\s*{part}\s*" if part else "" for part in parts)


def is_said(expected: list[str], output: str) -> bool:
    """Tell whether an output holds the expected lines, in their order; other lines may stand between them."""
    lines = iter(output.splitlines())
    return all(any(re.match(pattern_of(wanted), line) for line in lines) for wanted in expected)


def run_all(steps: list[Step], directory: Path, server: str) -> list[tuple[int, str]]:
    """Run commands in one shell; return exit code and output of each."""
    script = "\n".join(
        f"{step.command}\n__code=$?; printf '{_END}%s{_END}' \"$__code\"; (exit $__code)" for step in steps
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SEALWRIGHT")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(directory),
        "PYTHONUTF8": "1",
        "SERVER": server,
    }
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=180,
        encoding="utf-8",
    )
    parts = done.stdout.split(_END)
    return [(int(code), output) for output, code in zip(parts[0:-1:2], parts[1::2], strict=True)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = make(tmp_path_factory.mktemp("examples") / "deployment")
    with running(house.directory):
        yield house


@pytest.fixture
def desk(served: House, tmp_path: Path) -> Path:
    """Return a directory as a reader of the documents has it before him."""
    (tmp_path / "deployment").symlink_to(served.directory)
    for name in UNSIGNED:
        shutil.copyfile(PROGRAM, tmp_path / name)
    done = served.run("sign", PROGRAM, "--output", tmp_path / "program.exe")
    assert done.returncode == 0, done.stderr.decode()
    return tmp_path


# The operator's page comes last: it turns dual control on, and there is no way back.
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_do_what_it_says(page: str, served: House, desk: Path) -> None:
    steps = steps_of(ROOT / page)
    assert steps
    results = run_all(steps, desk, served.settings.server)
    assert len(results) == len(steps)
    wrong = []
    for position, (step, (code, output)) in enumerate(zip(steps, results, strict=True)):
        asks_for_code = position + 1 < len(steps) and steps[position + 1].command == "echo $?"
        if (code and not asks_for_code) or not is_said(step.expected, output):
            wrong.append(f"$ {step.command}\n{output}(exit code {code}; expected: {step.expected})")
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)


def test_a_page_that_lies_is_caught() -> None:
    assert is_said(["signed …", "verdict passed"], "signed app.exe\n  sha256  ab\n  verdict    passed\n")
    assert not is_said(["verdict passed"], "verdict    failed\n")
    assert not is_said(["verdict passed", "signed …"], "signed app.exe\nverdict passed\n")
