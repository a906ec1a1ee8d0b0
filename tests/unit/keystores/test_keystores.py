import sys
from pathlib import Path

import pytest

from sealwright import keystores
from sealwright.domain.errors import ConfigurationError


def test_the_software_key_store_is_always_there() -> None:
    assert "software" in keystores.available()


@pytest.mark.parametrize("uri", ["", "software", "tape:x", "Software:x", "../software:x", "os.path:x", "__init__:x"])
def test_an_unknown_scheme_names_the_known_ones(uri: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        keystores.open_key_store(uri)
    assert "software" in caught.value.hint


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "google_kms.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.setattr(keystores, "__path__", [*keystores.__path__, str(tmp_path)])
    with pytest.raises(ConfigurationError, match="a_package_that_nobody_has") as caught:
        keystores.open_key_store("google-kms:x")
    assert caught.value.hint == "install sealwright[google]"


def test_a_broken_module_without_an_extra_is_no_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tape.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.setattr(keystores, "__path__", [*keystores.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError):
        keystores.open_key_store("tape:x")
    assert "sealwright.keystores.tape" not in sys.modules
