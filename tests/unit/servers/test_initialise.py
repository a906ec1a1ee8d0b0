from pathlib import Path

import pytest

from sealwright.domain.errors import ConfigurationError
from sealwright.servers.initialise import Initialiser
from sealwright.servers.plan import Plan, addresses


def test_an_unknown_key_store_leaves_nothing_behind(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "deployment", key_store="pkcs11:token=none")
    with pytest.raises(ConfigurationError, match="no key store is called 'pkcs11'"):
        Initialiser(plan, lambda _step: None).run()
    assert not plan.directory.exists()


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigurationError, match="not empty"):
        Initialiser(Plan(tmp_path), lambda _step: None).run()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://localhost:8443", ("localhost", 8443, "http://localhost:8444", 8444)),
        ("https://sign.example.org", ("sign.example.org", 443, "http://sign.example.org", 80)),
        ("https://sign.example.org:9000/", ("sign.example.org", 9000, "http://sign.example.org:9001", 9001)),
    ],
)
def test_the_plain_listener_is_the_neighbour(url: str, expected: tuple[str, int, str, int]) -> None:
    assert addresses(url) == expected


@pytest.mark.parametrize("url", ["http://localhost", "localhost:8443", "https://", "https://a:b", "https://a/path", ""])
def test_what_cannot_be_an_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the service's address"):
        addresses(url)
