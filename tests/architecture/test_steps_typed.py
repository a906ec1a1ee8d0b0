"""The type checker itself refuses a pipeline that leaves out a step."""

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).resolve().parents[2]
STEPS = ["Received", "Authenticated", "Understood", "Authorised", "Recorded", "Signed", "Completed"]
METHODS = {
    "authenticate": "Received",
    "understand": "Authenticated",
    "authorise": "Understood",
    "record": "Authorised",
    "sign": "Recorded",
    "complete": "Signed",
}


def _function(method: str, step: str) -> str:
    arguments = "step, b''" if method == "record" else "step"
    awaited = "await " if method in {"record", "sign", "complete"} else ""
    return f"async def {method}_{step}(p: Pipeline, step: {step}) -> None:\n    {awaited}p.{method}({arguments})\n"


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Let mypy read every method called with every step, in one run; return the calls that it refuses."""
    head = (
        f"from sealwright.signing.pipeline import Pipeline\nfrom sealwright.signing.steps import {', '.join(STEPS)}\n"
    )
    calls = [(method, step) for method in METHODS for step in STEPS]
    file = tmp_path_factory.mktemp("snippets") / "calls.py"
    file.write_text(head + "".join(_function(*call) for call in calls), encoding="utf-8")
    cache = ROOT / ".mypy_cache"
    printed, trouble, _ = api.run(
        ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(cache), "--no-pretty", str(file)]
    )
    assert not trouble
    lines = [int(line.split(":")[1]) for line in printed.splitlines() if "[arg-type]" in line]
    others = [line for line in printed.splitlines() if ": error:" in line and "[arg-type]" not in line]
    assert not others, printed
    return {calls[(line - 3) // 2] for line in lines}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("method", METHODS)
def test_a_step_is_taken_from_the_one_before_and_from_no_other(
    refused: set[tuple[str, str]], method: str, step: str
) -> None:
    assert ((method, step) in refused) is (METHODS[method] != step)
