"""`sealwright operators`: the people who change keys, principals and policies, and how many must agree."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealwright.cli.use.administration import open_administrator
from sealwright.cli.use.session import open_settings, with_config
from sealwright.domain.errors import ConfigurationError, ConflictError

if TYPE_CHECKING:
    from sealwright.settings import ClientSettings


@click.group("operators")
def command() -> None:
    """As an administrator, enrol and revoke administrators, and turn dual control on."""


@command.command("new-key")
@click.argument("directory", type=click.Path(path_type=Path))
def new_key(directory: Path) -> None:
    """Make an operator's key in DIRECTORY, on the operator's own machine; only `operator.pub` is handed on."""
    from sealwright.settings import make_private_directory  # noqa: PLC0415 - `--help` does not need it

    key_file, public_file = directory / "operator.key", directory / "operator.pub"
    for file in (key_file, public_file):
        if file.exists():
            raise ConflictError(f"{file} exists already", hint="name another directory")
    make_private_directory(directory)
    _new_key(key_file, public_file)
    click.echo(f"hand on {public_file}; an administrator runs: sealwright operators enrol NAME {public_file} --out DIR")


@command.command("enrol")
@click.argument("name")
@click.argument("public_key", type=click.Path(path_type=Path))
@click.option(
    "--out", "directory", type=click.Path(path_type=Path), help="Write a client.toml for them, and what it names, here."
)
@with_config
def enrol(name: str, public_key: Path, directory: Path | None, config: Path | None) -> None:
    """Make the operator NAME known to the key holder as an administrator, by the PUBLIC_KEY they handed on.

    The client.toml in --out expects `operator.key` beside it: they put it there, on their own machine.
    """
    from sealwright.domain.actions import EnrolPrincipal  # noqa: PLC0415 - `--help` does not need it

    settings = open_settings(config)
    administrator = open_administrator(settings)
    owner = administrator.service.whoami().subscriber
    public = _read_public_key(public_key)
    if directory is not None:
        _write_settings(settings, name, directory)
    administrator.carry_out(
        EnrolPrincipal(name=name, kind="person", subscriber=owner, public_key=public, administrator=True)
    )
    click.echo(f"operator {name} is enrolled")


def _write_settings(settings: "ClientSettings", name: str, directory: Path) -> None:
    import msgspec  # noqa: PLC0415 - `--help` does not need it

    from sealwright.cli.use.workloads import carried  # noqa: PLC0415 - the same
    from sealwright.settings import make_private_directory, save_client  # noqa: PLC0415 - the same

    client_file = directory / "client.toml"
    if client_file.exists():
        raise ConflictError(f"{client_file} exists already", hint="name another directory with --out")
    make_private_directory(directory)
    own = msgspec.structs.replace(
        carried(settings, directory),
        workload="",
        workload_key=None,
        administrator=name,
        administrator_key=Path("operator.key"),
    )
    save_client(own, client_file)


def _read_public_key(path: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - slow to import

    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no public key in PEM: {error}") from None
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _new_key(key_file: Path, public_file: Path) -> None:
    """Make a P-256 key in a file of mode 0600, and its public half (PEM) in another."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - slow to import
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key  # noqa: PLC0415 - the same

    from sealwright.settings import atomic_write  # noqa: PLC0415 - the same

    key = generate_private_key(SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    atomic_write(key_file, private)
    atomic_write(public_file, public, 0o644)


@command.command("revoke")
@click.argument("name")
@with_config
def revoke(name: str, config: Path | None) -> None:
    """Forget the operator NAME at once: nothing that they sign counts from here on."""
    from sealwright.domain.actions import RevokePrincipal  # noqa: PLC0415 - `--help` does not need it

    open_administrator(open_settings(config)).carry_out(RevokePrincipal(name=name))
    click.echo(f"operator {name} is revoked")


@command.command("dual-control")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_config
def dual_control(config: Path | None, *, yes: bool) -> None:
    """Demand the signatures of two operators for every change from here on. There is no way back."""
    from sealwright.domain.actions import EnableDualControl  # noqa: PLC0415 - `--help` does not need it

    if not yes:
        click.confirm("Every change will need two operators, for ever. Go on?", abort=True)
    open_administrator(open_settings(config)).carry_out(EnableDualControl())
    click.echo("dual control is on")


@command.command("cosign")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_config
def cosign(file: Path, config: Path | None, *, yes: bool) -> None:
    """Show the request in FILE that another operator signed, sign it too, and have it carried out."""
    import msgspec  # noqa: PLC0415 - `--help` does not need it

    from sealwright.domain.actions import decode_request  # noqa: PLC0415 - the same
    from sealwright.domain.messages import AdminEnvelope  # noqa: PLC0415 - the same

    try:
        envelope = msgspec.json.decode(file.read_bytes(), type=AdminEnvelope)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"{file} holds no request to be signed: {error}") from None
    request = decode_request(envelope.request)
    click.echo(f"{', '.join(signature.administrator for signature in envelope.signatures)} asks for:")
    for name, value in msgspec.to_builtins(request.action, builtin_types=(bytes,)).items():
        click.echo(f"  {name:<18}{_readable(value)}")
    if not yes:
        click.confirm("Do you agree, and sign?", abort=True)
    answer = open_administrator(open_settings(config)).cosign(envelope)
    file.unlink()
    click.echo(f"done: {answer.detail} (records version {answer.version})")


def _readable(value: object) -> str:
    """Show bytes (keys, certificates) by their SHA-256, as the ledger and `openssl dgst` name them."""
    from hashlib import sha256  # noqa: PLC0415 - `--help` does not need it

    if isinstance(value, bytes):
        return f"{len(value)} bytes, SHA-256 {sha256(value).hexdigest()}"
    if isinstance(value, list):
        return ", ".join(_readable(item) for item in value)
    return str(value)


@command.command("clear-halt")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_config
def clear_halt(config: Path | None, *, yes: bool) -> None:
    """Take up signing again after the key holder mistrusted the log, once the matter was investigated.

    The log is trusted again as it stands now, at the service named in the settings.
    """
    from sealwright.domain.actions import ClearHalt  # noqa: PLC0415 - `--help` does not need it

    administrator = open_administrator(open_settings(config))
    status = administrator.service.status()
    if not status.halted:
        raise ConflictError("signing is not halted")
    click.echo(f"signing is halted: {status.halted}\nthe log has {status.log_size} entries, root {status.log_root}")
    if not yes:
        click.confirm("Was `sealwright ledger verify` run, and is this the log to trust?", abort=True)
    administrator.carry_out(ClearHalt(size=status.log_size, frontier=bytes.fromhex(status.log_frontier)))
    click.echo("signing is taken up again")
