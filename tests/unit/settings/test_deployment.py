from pathlib import Path

import pytest
from msgspec.structs import replace

from sealwright.domain.errors import ConfigurationError
from sealwright.settings import (
    Databases,
    DeploymentSettings,
    Directories,
    KeyStores,
    Listen,
    load_deployment,
    save_deployment,
)

SETTINGS = DeploymentSettings(
    url="https://localhost:8443",
    plain_url="http://localhost:8080",
    log_origin="localhost:8443/log",
    subscriber="acme",
    key_stores=KeyStores(
        keyholder="software:keyholder/keys?passphrase-file=keyholder/passphrase",
        ca="software:ca/keys?passphrase-file=ca/passphrase",
        tsa="software:tsa/keys?passphrase-file=tsa/passphrase",
    ),
)


def test_settings_are_read_as_they_were_saved_with_paths_resolved(tmp_path: Path) -> None:
    file = save_deployment(SETTINGS, tmp_path)
    loaded = load_deployment(tmp_path)
    assert loaded.directories.keyholder == tmp_path / "keyholder"
    assert replace(loaded, directories=Directories()) == SETTINGS
    assert "# who" not in file.read_text()
    assert 'url = "https://localhost:8443"' in file.read_text()


def test_defaults_may_be_left_out(tmp_path: Path) -> None:
    text = save_deployment(SETTINGS, tmp_path).read_text()
    start = text.index("[key_stores]")
    middle = text.index("# one directory")
    head = text[: text.index("\n[listen]")].replace("tolerance_seconds = 300\n", "")
    (tmp_path / "deployment.toml").write_text(head + "\n" + text[start:middle] + '[directories]\nca = "elsewhere/ca"\n')
    loaded = load_deployment(tmp_path)
    assert (loaded.listen, loaded.tolerance_seconds) == (Listen(), 300)
    assert loaded.directories.ca == tmp_path / "elsewhere/ca"
    assert loaded.directories.run == tmp_path / "run"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version = 1", "version = 2", "version = 2"),
        ('"https://localhost:8443"', '"http://localhost:8443"', "url ="),
        ('"http://localhost:8080"', '"localhost"', "plain_url ="),
        ('"acme"', '"Acme Inc"', "subscriber ="),
        ('"localhost:8443/log"', '"a log"', "log_origin ="),
        ('"localhost:8443/log"', '"a+b"', "log_origin ="),
        ("port = 8443", "port = 0", r"\$.listen.port"),
        ("port = 8443", "port = 8080", "are the same"),
        ("port = 8443", 'port = "8443"', r"\$.listen.port"),
        ("tolerance_seconds = 300", "tolerance_seconds = 0", "tolerance_seconds"),
        ("tolerance_seconds = 300", "dual_control = true", "dual_control"),
        ("[key_stores]", "[key_stores]\nsigning = 'x'", r"signing` - at `\$.key_stores`"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = save_deployment(SETTINGS, tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=words):
        load_deployment(tmp_path)


def test_a_directory_without_a_deployment_names_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_deployment(tmp_path)
    assert caught.value.hint == f"make a deployment first: sealwright init {tmp_path}"


def test_wrong_settings_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        save_deployment(replace(SETTINGS, url="https://localhost/"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_role_may_have_its_database_elsewhere(tmp_path: Path) -> None:
    assert "[databases]" not in save_deployment(SETTINGS, tmp_path).read_text()
    url = "postgresql+psycopg://sign@db.example/sign"
    text = save_deployment(replace(SETTINGS, databases=Databases(signing=url)), tmp_path).read_text()
    assert f'[databases]\nsigning = "{url}"' in text
    assert "keyholder" not in text[text.index("[databases]") :].split("[", 2)[1]
    assert load_deployment(tmp_path).databases == Databases(signing=url)


@pytest.mark.parametrize(
    ("databases", "words"),
    [
        (Databases(ca="mysql://db/ca"), "begins with"),
        (Databases(ca="sqlite:////srv/one.db", tsa="sqlite:////srv/one.db"), "same database"),
    ],
)
def test_databases_are_of_a_known_kind_and_one_for_each_role(tmp_path: Path, databases: Databases, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        save_deployment(replace(SETTINGS, databases=databases), tmp_path)
