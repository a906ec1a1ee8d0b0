"""The walls between the rooms (layers.ini, read by import-linter), and proof that the walls hold.

Rooms are built one after another, and layers.ini names the finished house. So names of rooms that do not
exist yet are taken out before import-linter reads it; a room is under the contracts from its first file on.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from configparser import ConfigParser
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

INI = Path(__file__).with_name("layers.ini")
PACKAGE = Path(__file__).resolve().parents[2] / "src" / "sealwright"
ROOT = PACKAGE.name


def modules_of(package: Path) -> set[str]:
    """Return the dotted names of all packages and modules below a package's folder."""
    names = set()
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def contracts_for(modules: set[str], ini: Path = INI) -> ConfigParser:
    """Read the contracts and leave out every name that has no module, and contracts about nothing."""
    config = ConfigParser()
    config.read(ini, encoding="utf-8")

    def is_there(name: str) -> bool:
        # Packages of others (sqlalchemy, socket …) are forbidden whether or not they are installed.
        return name.split(".", maxsplit=1)[0] != ROOT or any(fnmatchcase(module, name) for module in modules)

    for section in config.sections():
        contract = config[section]
        for option in ("source_modules", "forbidden_modules", "modules"):
            if option in contract:
                contract[option] = "\n".join(["", *filter(is_there, contract[option].split())])
        if "layers" in contract:
            contract["layers"] = "\n".join(["", *_layers(contract["layers"], is_there)])
        if any(not contract[option].split() for option in contract):
            config.remove_section(section)
    return config


def _layers(text: str, is_there: Callable[[str], bool]) -> list[str]:
    rows = (re.split(r"\s*\|\s*", row.strip()) for row in text.strip().splitlines())
    kept = ([name for name in row if is_there(f"{ROOT}.{name}")] for row in rows)
    return [" | ".join(row) for row in kept if row]


def lint(folder: Path, package: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over another tree than ours, in a process of its own."""
    ini = folder / "layers.ini"
    with ini.open("w", encoding="utf-8") as file:
        contracts_for(modules_of(package)).write(file)
    code = f"import sys; from importlinter.cli import lint_imports as run; sys.exit(run({str(ini)!r}, no_cache=True))"
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_imports_go_one_way_down_and_no_wall_is_crossed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ini = tmp_path / "layers.ini"
    with ini.open("w", encoding="utf-8") as file:
        contracts_for(modules_of(PACKAGE)).write(file)
    status = lint_imports(str(ini), no_cache=True, no_logo=True)
    assert status == 0, capsys.readouterr().out


def test_every_room_has_a_place_in_the_layers() -> None:
    config = ConfigParser()
    config.read(INI, encoding="utf-8")
    placed = set(re.findall(r"\w+", config["importlinter:contract:layers"]["layers"]))
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    rooms |= {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert rooms - placed == set()


def test_a_finished_house_is_checked_by_every_contract_as_it_is_written() -> None:
    whole = ConfigParser()
    whole.read(INI, encoding="utf-8")
    named = set(re.findall(rf"\b{ROOT}(?:\.\w+)+", INI.read_text(encoding="utf-8")))
    named |= {f"{ROOT}.{name}" for name in re.findall(r"\w+", whole["importlinter:contract:layers"]["layers"])}
    named |= {f"{ROOT}.{room}.one" for room in ("formats", "schemes", "keystores", "authenticators", "scanners")}
    kept = contracts_for(named)
    assert {name: re.split(r"[\s|]+", kept[name][key]) for name in kept for key in kept[name]} == {
        name: re.split(r"[\s|]+", whole[name][key]) for name in whole for key in whole[name]
    }


# A small house in order; each crossing below replaces one file in it and breaks one contract.
HOUSE = {
    "domain/words.py": "",
    "domain/inner/deep.py": "from sealwright.domain import words",
    "structures/tree.py": "from sealwright.domain import words",
    "signing/path.py": "from sealwright.structures import tree",
    "custody/records.py": "",
    "keystores/software.py": "",
    "keystores/pkcs11.py": "",
    "servers/signing.py": "from sealwright.signing import path",
    "client/sdk.py": "",
}
CROSSINGS = {
    "upwards": ("domain/words.py", "from sealwright.structures import tree", "One way down"),
    "between siblings": ("signing/path.py", "from sealwright.custody import records", "One way down"),
    "into a room without a place": ("cellar/wine.py", "", "One way down"),
    "between plug-ins": (
        "keystores/software.py",
        "from sealwright.keystores import pkcs11",
        "Plug-ins do not know one another",
    ),
    "into input and output": ("structures/tree.py", "import socket", "The core does no I/O"),
    "from a face to the keys": (
        "servers/signing.py",
        "from sealwright.keystores import software",
        "Processes that face users never touch a key store",
    ),
    "from the client to the database": (
        "client/sdk.py",
        "import sqlalchemy",
        "What a publisher installs holds no server",
    ),
    "round in a circle": ("domain/words.py", "from sealwright.domain.inner import deep", "No cycles"),
}


def build(folder: Path, files: dict[str, str]) -> Path:
    package = folder / ROOT
    for name, text in files.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
    for parent in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (parent / "__init__.py").touch()
    return package


@pytest.mark.parametrize("crossing", CROSSINGS)
def test_a_crossed_wall_is_found(crossing: str, tmp_path: Path) -> None:
    path, line, contract = CROSSINGS[crossing]
    result = lint(tmp_path, build(tmp_path, {**HOUSE, path: line}))
    assert result.returncode == 1
    assert f"{contract} BROKEN" in result.stdout, result.stdout + result.stderr


def test_a_house_without_crossings_passes(tmp_path: Path) -> None:
    result = lint(tmp_path, build(tmp_path, HOUSE))
    assert result.returncode == 0, result.stdout + result.stderr
