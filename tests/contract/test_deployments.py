"""A deployment whose databases are named in its settings is made, migrated, examined and proved like any other."""

import shutil
from pathlib import Path

import pytest

from sealwright.cli.main import run
from sealwright.cli.operate.demo import default_program
from sealwright.servers.audit import audit
from sealwright.servers.checks import FAULT, examine
from sealwright.servers.deployment import Deployment
from sealwright.servers.embedded import free_ports, running
from sealwright.servers.initialise import Initialiser
from sealwright.servers.plan import Plan
from sealwright.servers.schema import refuse_old_schema
from sealwright.settings import Databases, DeploymentSettings, KeyStores, Listen, save_deployment
from tests.contract.conftest import NewDatabase


@pytest.fixture
def deployment(new_database: NewDatabase, tmp_path: Path) -> Deployment:
    directory = tmp_path / "deployment"
    directory.mkdir(mode=0o700)
    port = free_ports()
    settings = DeploymentSettings(
        url=f"https://localhost:{port}",
        plain_url=f"http://localhost:{port + 1}",
        log_origin="localhost/sealwright/test",
        subscriber="first",
        listen=Listen(port=port, plain_port=port + 1),
        key_stores=KeyStores(
            keyholder="software:keyholder/keys?passphrase-file=keyholder/passphrase",
            ca="software:ca/keys?passphrase-file=ca/passphrase",
            tsa="software:tsa/keys?passphrase-file=tsa/passphrase",
        ),
        databases=Databases(**{role: new_database() for role in Databases.__struct_fields__}),
    )
    save_deployment(settings, directory)
    return Initialiser(Plan(directory, key_algorithm="p-256"), lambda _step: None).run()


def test_a_prepared_deployment_is_completed_in_its_databases(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse_old_schema(deployment)
    assert not list(deployment.directory.rglob("*.db"))
    assert [finding for finding in examine(deployment) if finding.level == FAULT] == []
    result = audit(deployment, lambda *_: None)
    assert result.holds
    assert {log.role for log in result.logs} == set(Databases.__struct_fields__)
    assert result.uses == {"default": 0}
    assert run(["migrate", str(deployment.directory)]) == 0
    assert capsys.readouterr().out.count("up to date") == 4
    again = Initialiser(Plan(deployment.directory, key_algorithm="p-256"), lambda _step: None)
    again.run()
    assert not again.changed


@pytest.mark.services
def test_a_program_is_signed_over_these_databases(deployment: Deployment, tmp_path: Path) -> None:
    program = Path(shutil.copy(default_program(), tmp_path / "program.exe"))
    config = ["--config", str(deployment.directory / "client.toml")]
    with running(deployment.directory):
        assert run(["keys", "create", "once", "--lifetime", "ephemeral", *config]) == 0
        for key in ("default", "once"):
            assert run(["sign", str(program), "--append", "--key", key, *config]) == 0
    assert run(["verify", str(program), *config]) == 0
    result = audit(deployment, lambda *_: None)
    assert result.holds
    assert (result.tally.completed, len(result.open_intents), result.uses) == (2, 0, {"default": 1, "once": 1})
