"""`sealwright keys`: list the signing keys, and, as an administrator, create and change them."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sealwright.cli.use.administration import Administrator, open_administrator
from sealwright.cli.use.session import open_service, open_settings, with_config, with_json
from sealwright.cli.use.whoami import describe_key, print_keys
from sealwright.domain.errors import ConfigurationError, ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealwright.domain.messages import Authorisation, KeyView
    from sealwright.settings import ClientSettings

ALGORITHMS: Final = ("p-256", "p-384", "rsa-3072", "rsa-4096")
LIFETIMES: Final = ("persistent", "ephemeral")

_AUTHORISATION_VALIDITY: Final = timedelta(hours=1)
_STANDING_VALIDITY: Final = timedelta(days=365)
_STANDING_LIMIT: Final = 3600  # ephemeral certificates an hour


@click.group("keys")
def command() -> None:
    """List signing keys; as an administrator create, suspend, resume and destroy them."""


@command.command("list")
@with_config
@with_json
def list_keys(config: Path | None, *, as_json: bool) -> None:
    """List the keys that you can see."""
    keys = open_service(open_settings(config)).keys()
    if as_json:
        _print_json({"keys": [describe_key(key) for key in keys]})
    else:
        print_keys(keys)


@command.command("create")
@click.argument("name")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default="p-256", show_default=True)
@click.option("--lifetime", type=click.Choice(LIFETIMES), default="persistent", show_default=True)
@click.option("--subscriber", help="The subscriber whose key it is  [default: your own]")
@click.option("--scheme", "schemes", multiple=True, help="A scheme it may be used with  [default: authenticode]")
@click.option(
    "--subject",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A field of the certificate's subject (CN, O, C, L, ST)  [default: those in client.toml]",
)
@with_config
@with_json
def create(
    name: str,
    algorithm: str,
    lifetime: str,
    subscriber: str | None,
    schemes: tuple[str, ...],
    fields: tuple[str, ...],
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make the signing key NAME inside the key store, have it certified, and make it ready to use.

    An ephemeral key is made anew for every signature; it gets a standing authorisation instead of a certificate.
    Run again, it goes on where it stopped: under dual control a second operator signs between the steps.
    """
    from sealwright.domain.actions import CreateKey  # noqa: PLC0415 - `--help` does not need it

    settings = open_settings(config)
    subject = _subject(settings, fields)
    administrator = open_administrator(settings)
    owner = subscriber or administrator.service.whoami().subscriber
    made = _begun(administrator, name)
    if made is None:
        made = administrator.carry_out(
            CreateKey(
                name=name,
                subscriber=owner,
                algorithm=algorithm,
                lifetime=lifetime,
                schemes=list(schemes) or ["authenticode"],
            )
        ).key
    if made is None:
        raise ConfigurationError("the service made a key and did not show it", hint="do client and service fit?")
    key = certify(administrator, made, subject)
    if as_json:
        _print_json({"key": describe_key(key)})
    else:
        print_keys([key])


def _begun(administrator: Administrator, name: str) -> "KeyView | None":
    """Find a key that was made before but not certified: a second operator signed meanwhile, or we were cut off."""
    found = next((key for key in administrator.service.whoami().keys if key.name == name), None)
    if found is not None and found.state != "created":
        raise ConflictError(f"there is a key {name!r} already, and it is {found.state}")
    return found


def certify(administrator: Administrator, key: "KeyView", subject: "Mapping[str, str]") -> "KeyView":
    """Certify a key that was just made, the administrator acting as registration officer; return it as it is then."""
    from sealwright.domain.actions import CertifyKey  # noqa: PLC0415 - the same
    from sealwright.domain.messages import IssueRequest  # noqa: PLC0415 - `--help` does not need it

    envelope = administrator.authorise(_authorisation(key, subject))
    if key.lifetime == "ephemeral":
        action = CertifyKey(
            name=key.name,
            authorisation=envelope.authorisation,
            officer=envelope.officer,
            officer_signature=envelope.signature,
        )
    else:
        answer = administrator.service.issue(IssueRequest(envelope, key.public_key))
        action = CertifyKey(name=key.name, chain=answer.chain)
    return administrator.carry_out(action).key or key


def _authorisation(key: "KeyView", subject: "Mapping[str, str]") -> "Authorisation":
    from sealwright.domain.messages import Authorisation  # noqa: PLC0415 - `--help` does not need it
    from sealwright.structures.x509 import spki_sha256  # noqa: PLC0415 - slow to import

    if key.protection is None:
        raise ConfigurationError(
            f"the service does not say how the key {key.name!r} is protected, so it cannot be certified",
            hint="update the service",
        )
    ephemeral = key.lifetime == "ephemeral"
    validity = _STANDING_VALIDITY if ephemeral else _AUTHORISATION_VALIDITY
    return Authorisation(
        id=secrets.token_hex(16),
        profile="ephemeral-code-signing" if ephemeral else "private-code-signing",
        subject=dict(subject),
        protection=key.protection,
        not_after=(datetime.now(UTC) + validity).isoformat(timespec="seconds"),
        spki_sha256="" if ephemeral else spki_sha256(key.public_key),
        standing=ephemeral,
        limit_per_hour=_STANDING_LIMIT if ephemeral else 0,
    )


def _subject(settings: "ClientSettings", fields: tuple[str, ...]) -> dict[str, str]:
    """Return the certificate's subject: the settings' own, with the fields given on the command line over them."""
    subject = dict(settings.subject)
    for text in fields:
        field, separator, value = text.partition("=")
        if not separator or not value:
            raise click.BadParameter(f"{text!r} is not FIELD=VALUE", param_hint="--subject")
        subject[field.strip().upper()] = value.strip()
    if not subject:
        raise ConfigurationError(
            "nothing says whom the certificate shall name",
            hint="add a table [subject] with CN, O, C and L to client.toml, or give --subject CN=… --subject O=…",
        )
    return subject


@command.command("suspend")
@click.argument("name")
@with_config
def suspend(name: str, config: Path | None) -> None:
    """Stop the use of the key NAME until it is resumed."""
    _change(name, "suspended", config)


@command.command("resume")
@click.argument("name")
@with_config
def resume(name: str, config: Path | None) -> None:
    """Let the suspended key NAME be used again."""
    _change(name, "active", config)


@command.command("destroy")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_config
def destroy(name: str, config: Path | None, *, yes: bool) -> None:
    """Destroy the key NAME for ever."""
    if not yes:
        click.confirm(f"Destroy the key {name!r}? Nobody can bring it back", abort=True, err=True)
    _change(name, "destroyed", config)


def _change(name: str, state: str, config: Path | None) -> None:
    from sealwright.domain.actions import ChangeKeyState  # noqa: PLC0415 - `--help` does not need it

    open_administrator(open_settings(config)).carry_out(ChangeKeyState(name=name, state=state))
    click.echo(f"key {name} is {state}")


def _print_json(answer: dict[str, object]) -> None:
    import json  # noqa: PLC0415 - only for JSON

    click.echo(json.dumps(answer, ensure_ascii=False, indent=2))
