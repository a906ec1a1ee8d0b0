from pathlib import Path

import pytest

from tests.unit.client.fake_service import FakeService


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeService:
    """A service in memory that the commands reach by the client.toml in SEALWRIGHT_CONFIG."""
    fake = FakeService()
    settings = fake.write_client(tmp_path)
    monkeypatch.setenv("SEALWRIGHT_CONFIG", str(settings))
    monkeypatch.setattr("sealwright.client.transport.HTTPSExchange", lambda _server, _roots: fake)
    monkeypatch.setattr("sealwright.client.timestamps.urllib3_post", lambda: fake.timestamp_post)
    return fake
