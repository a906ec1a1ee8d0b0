"""`sealwright workloads`: the machines and build jobs that may ask for signatures."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealwright.cli.use.administration import open_administrator
from sealwright.cli.use.session import open_settings, with_config
from sealwright.domain.errors import ConfigurationError, ConflictError, SealwrightError, SecondSignatureError

if TYPE_CHECKING:
    from sealwright.settings import ClientSettings


@click.group("workloads")
def command() -> None:
    """As an administrator, enrol and revoke workloads."""


@command.command("enrol")
@click.argument("name")
@click.option("--subscriber", help="The subscriber whose keys it may ask for  [default: your own]")
@click.option(
    "--out", "directory", required=True, type=click.Path(path_type=Path), help="Where its key and client.toml go."
)
@with_config
def enrol(name: str, subscriber: str | None, directory: Path, config: Path | None) -> None:
    """Make a request key for the workload NAME, make it known to the service, and write its client.toml.

    The directory holds all the workload needs. Its private key never leaves this machine by itself: carry the
    directory to where the workload runs.
    """
    import msgspec  # noqa: PLC0415 - `--help` does not need it
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - slow to import
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key  # noqa: PLC0415 - the same

    from sealwright.domain.actions import EnrolPrincipal  # noqa: PLC0415 - `--help` does not need it
    from sealwright.settings import atomic_write, make_private_directory, save_client  # noqa: PLC0415 - the same

    settings = open_settings(config)
    administrator = open_administrator(settings)
    owner = subscriber or administrator.service.whoami().subscriber
    key_file, client_file = directory / "request.key", directory / "client.toml"
    for file in (key_file, client_file):
        if file.exists():
            raise ConflictError(f"{file} exists already", hint="name another directory with --out")
    key = generate_private_key(SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The files first: a workload that is enrolled without its key could not be used, and its name would be taken.
    make_private_directory(directory)
    atomic_write(key_file, private)
    try:
        own = msgspec.structs.replace(
            carried(settings, directory),
            workload=name,
            workload_key=Path(key_file.name),
            administrator="",
            administrator_key=None,
            subject={},
        )
        save_client(own, client_file)
        administrator.carry_out(EnrolPrincipal(name=name, kind="workload", subscriber=owner, public_key=public))
    except SecondSignatureError:
        click.echo(f"the key of {name} is in {directory}; it counts once a second operator has signed")
        raise
    except SealwrightError:
        key_file.unlink(missing_ok=True)
        client_file.unlink(missing_ok=True)
        raise
    click.echo(f"workload {name} of {owner} is enrolled; what it needs is in {directory}")
    click.echo(f"hint: SEALWRIGHT_CONFIG={client_file} sealwright whoami", err=True)


def carried(settings: "ClientSettings", directory: Path) -> "ClientSettings":
    """Copy what the settings name into the directory, and name the copies, relative to it."""
    import shutil  # noqa: PLC0415 - `--help` does not need it

    import msgspec  # noqa: PLC0415 - the same

    copied: dict[str, Path] = {}
    for name, original in (("tls_ca", settings.tls_ca), ("roots", settings.roots), ("crl", settings.crl)):
        if original is None:
            continue
        copy = directory / (f"{name.replace('_', '-')}.pem" if original.is_file() else name)
        try:
            if original.is_dir():
                shutil.copytree(original, copy, dirs_exist_ok=True)
            else:
                shutil.copyfile(original, copy)
        except OSError as error:
            raise ConfigurationError(f"{original} cannot be copied: {error}") from None
        copied[name] = Path(copy.name)
    return msgspec.structs.replace(settings, **copied)


@command.command("revoke")
@click.argument("name")
@with_config
def revoke(name: str, config: Path | None) -> None:
    """Forget the workload NAME at once: nothing that it signs counts from here on."""
    from sealwright.domain.actions import RevokePrincipal  # noqa: PLC0415 - `--help` does not need it

    open_administrator(open_settings(config)).carry_out(RevokePrincipal(name=name))
    click.echo(f"workload {name} is revoked")
