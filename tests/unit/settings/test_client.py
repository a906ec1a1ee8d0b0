import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from sealwright.domain.errors import ConfigurationError
from sealwright.settings import ClientSettings, find_client_file, load_client, save_client

SETTINGS = ClientSettings(
    server="https://localhost:8443",
    tls_ca=Path("tls/ca.pem"),
    tsa=("https://localhost:8443/tsa", "http://tsa.example.org"),
    roots=Path("roots.pem"),
    key="release",
    workload="ci",
    workload_key=Path("ci.pem"),
    log_key="localhost+00000000+AA==",
)


def test_settings_are_read_as_they_were_saved_with_paths_resolved(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    save_client(SETTINGS, path)
    loaded = load_client(path)
    paths = {name: tmp_path / getattr(SETTINGS, name) for name in ("tls_ca", "roots", "workload_key")}
    assert loaded == replace(SETTINGS, **paths)
    assert "administrator" not in path.read_text()


def test_an_empty_file_is_enough_for_commands_that_need_nothing(tmp_path: Path) -> None:
    (tmp_path / "client.toml").touch()
    settings = load_client(tmp_path / "client.toml")
    assert settings == ClientSettings()
    for need in (settings.need, settings.need_path):
        with pytest.raises(ConfigurationError, match="no server is configured") as caught:
            need("server")
        assert "--config" in caught.value.hint


def test_a_needed_setting_is_given() -> None:
    assert SETTINGS.need("server") == "https://localhost:8443"
    assert SETTINGS.need_path("roots") == Path("roots.pem")


@pytest.mark.parametrize(
    "change",
    [
        {"server": "http://localhost"},
        {"tsa": ("ftp://x",)},
        {"key": "Release Key"},
        {"workload": ""},
        {"workload_key": None},
        {"administrator": "ann"},
        {"administrator_key": Path("x")},
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        save_client(replace(SETTINGS, **change), tmp_path / "client.toml")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_file_that_somebody_named_wins(tmp_path: Path) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()

    def find(explicit: Path | None = None, environ: dict[str, str] | None = None) -> Path | None:
        return find_client_file(explicit, environ or {}, here, home, "linux")

    assert find() is None
    user = touch(home / ".config/sealwright/client.toml")
    assert find() == user
    touch(here / "client.toml")
    assert find() == user, "a checkout must not say which roots to trust"
    named = touch(tmp_path / "named.toml")
    assert find(environ={"SEALWRIGHT_CONFIG": str(named)}) == named
    explicit = touch(here / "explicit.toml")
    assert find(Path("explicit.toml"), {"SEALWRIGHT_CONFIG": str(named)}) == explicit


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"XDG_CONFIG_HOME": "xdg"}, "xdg/sealwright/client.toml"),
        ("darwin", {}, "home/.config/sealwright/client.toml"),
        ("win32", {"APPDATA": "roaming"}, "roaming/sealwright/client.toml"),
        ("win32", {}, "home/AppData/Roaming/sealwright/client.toml"),
    ],
)
def test_each_platform_has_its_place(tmp_path: Path, platform: str, environ: dict[str, str], expected: str) -> None:
    path = touch(tmp_path / expected)
    absolute = {name: str(tmp_path / value) for name, value in environ.items()}
    assert find_client_file(None, absolute, tmp_path / "here", tmp_path / "home", platform) == path


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--config names no\.toml"):
        find_client_file(Path("no.toml"), {}, tmp_path, tmp_path, "linux")
    with pytest.raises(ConfigurationError, match="SEALWRIGHT_CONFIG names"):
        find_client_file(None, {"SEALWRIGHT_CONFIG": "no.toml"}, tmp_path, tmp_path, "linux")


def test_the_import_is_light() -> None:
    program = (
        "import sys, sealwright.settings; print([m for m in ('cryptography', 'ssl', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
