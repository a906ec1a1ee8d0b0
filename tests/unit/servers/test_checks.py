"""`sealwright doctor`: a sound deployment has no fault, and every damage is one fault that says what to do."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from sealwright.domain.errors import ConfigurationError
from sealwright.servers import checks
from sealwright.servers.checks import FAULT, WARNING, Finding, examine
from sealwright.servers.deployment import Deployment, utc_now
from sealwright.servers.initialise import Initialiser
from sealwright.servers.plan import Plan
from sealwright.servers.schema import refuse_old_schema


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "deployment"
    Initialiser(Plan(directory, key_algorithm="p-256"), lambda _step: None).run()
    return directory


@pytest.fixture
def deployment(made: Path, tmp_path: Path) -> Deployment:
    shutil.copytree(made, tmp_path / "deployment")
    return Deployment.load(tmp_path / "deployment")


def of_level(deployment: Deployment, level: str) -> list[Finding]:
    return [finding for finding in examine(deployment) if finding.level == level]


def test_a_sound_deployment_has_no_fault_and_says_what_it_is_not_fit_for(deployment: Deployment) -> None:
    assert of_level(deployment, FAULT) == []
    warned = " ".join(finding.what for finding in of_level(deployment, WARNING))
    assert "dual control is off" in warned
    assert "root's key lies on this machine" in warned
    assert any("requirement" in finding.advice for finding in of_level(deployment, WARNING))


def database(deployment: Deployment, role: str, statement: str) -> None:
    engine = deployment.engine(role)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


DAMAGES: dict[str, Callable[[Deployment], object]] = {
    "can be read by others": lambda d: (d.directory / "keyholder" / "passphrase").chmod(0o644),
    "is open to others": lambda d: d.directory.chmod(0o755),
    "older schema": lambda d: database(d, "tsa", "DELETE FROM alembic_version"),
    "root.cer": lambda d: (d.directory / "ca" / "root.cer").unlink(),
    "cannot be read": lambda d: (d.directory / "ca" / "timestamp.cer").write_bytes(b"damaged"),
    "'unit-1'": lambda d: (d.directory / "tsa" / "keys" / "unit-1.pem").unlink(),
    "'code-signing'": lambda d: (d.directory / "ca" / "keys" / "code-signing.pem").write_text("damaged"),
    "code-signing.crl": lambda d: (d.directory / "public" / "crl" / "code-signing.crl").unlink(),
    "signing is halted": lambda d: database(d, "keyholder", "UPDATE state SET halted = 'rewritten'"),
    "'default'": lambda d: (d.directory / "keyholder" / "keys" / "default.pem").unlink(),
    "the key holder's database is empty": lambda d: database(d, "keyholder", "DELETE FROM state"),
}


@pytest.mark.parametrize("words", DAMAGES)
def test_each_damage_is_a_fault_that_says_what_to_do_and_hides_no_other(deployment: Deployment, words: str) -> None:
    before = {finding.what for finding in examine(deployment) if finding.level != FAULT}
    DAMAGES[words](deployment)
    found = list(examine(deployment))
    faults = [finding for finding in found if finding.level == FAULT]
    assert any(words in finding.what for finding in faults), faults
    assert all(finding.advice for finding in faults)
    assert len(before & {finding.what for finding in found}) >= len(before) // 2


def test_what_expires_is_warned_of_and_what_expired_is_a_fault(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "utc_now", lambda: utc_now() + timedelta(days=380))
    assert "TLS certificate" in " ".join(finding.what for finding in of_level(deployment, WARNING))
    monkeypatch.setattr(checks, "utc_now", lambda: utc_now() + timedelta(days=500))
    faults = " ".join(finding.what for finding in of_level(deployment, FAULT))
    assert "TLS certificate expired" in faults
    assert "the CRL of code-signing is out of date" in faults


def test_a_root_that_was_taken_offline_is_no_fault(deployment: Deployment) -> None:
    (deployment.directory / "ca" / "keys" / "root.pem").unlink()
    assert of_level(deployment, FAULT) == []
    assert "root's key lies" not in " ".join(finding.what for finding in of_level(deployment, WARNING))


def test_an_old_schema_is_refused_before_anything_starts(deployment: Deployment) -> None:
    refuse_old_schema(deployment)
    database(deployment, "signing", "DELETE FROM alembic_version")
    with pytest.raises(ConfigurationError) as caught:
        refuse_old_schema(deployment)
    assert "sealwright migrate" in caught.value.hint
