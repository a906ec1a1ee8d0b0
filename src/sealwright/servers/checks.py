"""What `sealwright doctor` looks at in a deployment, and what it says should be done."""

import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from sealwright.domain.errors import NotFoundError, SealwrightError
from sealwright.domain.keys import SOFTWARE_WARNING, KeyState, ProtectionModel
from sealwright.issuance.hierarchy import ROOT_LABEL
from sealwright.keystores import open_key_store
from sealwright.servers.ca import LABELS, ONLINE
from sealwright.servers.deployment import Deployment, utc_now
from sealwright.servers.schema import refuse_old_schema
from sealwright.storage.keyholder import KeyHolderDatabase
from sealwright.storage.schema import NEWEST
from sealwright.structures.note import Verifier

OK, NOTE, WARNING, FAULT = "ok", "note", "warning", "fault"
_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it stands, and what to do about it."""

    level: str
    what: str
    advice: str = ""


def examine(deployment: Deployment) -> Iterator[Finding]:
    """Look at everything, one finding after another; a fault in one place does not hide the next."""
    looks: tuple[Callable[[Deployment], Iterator[Finding]], ...] = (
        _permissions,
        _schemas,
        _certificates,
        _key_stores,
        _revocation_lists,
        _records,
    )
    for look in looks:
        try:
            yield from look(deployment)
        except SealwrightError as error:
            yield Finding(FAULT, error.detail, error.hint or "restore what is missing from a backup")
        except OSError as error:
            yield Finding(FAULT, f"{error.filename}: {error.strerror}", "restore the file from a backup")
        except ValueError as error:  # how the certificate library says that a file is damaged
            yield Finding(FAULT, f"a certificate or CRL cannot be read: {error}", "restore it from a backup")


def _permissions(deployment: Deployment) -> Iterator[Finding]:
    if sys.platform == "win32":
        yield Finding(NOTE, "file permissions are not looked at on this platform")
        return
    secret = ("*.key", "passphrase", "*.db", "*.toml", "*.pem")
    public = {"trust", "public"}
    loose: list[Path] = []
    for pattern in secret:
        for path in deployment.directory.rglob(pattern):
            if not public & set(path.relative_to(deployment.directory).parts) and path.name != "chain.pem":
                mode = stat.S_IMODE(path.stat().st_mode)
                if mode & 0o077:
                    loose.append(path)
    for path in loose:
        yield Finding(FAULT, f"{path} can be read by others", f"chmod 600 {path}")
    if stat.S_IMODE(deployment.directory.stat().st_mode) & 0o077:
        yield Finding(FAULT, f"{deployment.directory} is open to others", f"chmod 700 {deployment.directory}")
    elif not loose:
        yield Finding(OK, "files and directories are closed to others")


def _schemas(deployment: Deployment) -> Iterator[Finding]:
    refuse_old_schema(deployment)
    yield Finding(OK, f"{len(NEWEST)} databases have this version's schema")


def _certificates(deployment: Deployment) -> Iterator[Finding]:
    now = utc_now()
    for label in LABELS:
        path = deployment.role_directory("ca") / f"{label}.cer"
        yield _validity(f"{label} CA certificate", x509.load_der_x509_certificate(path.read_bytes()), now)
    unit = (deployment.role_directory("tsa") / "chain.pem").read_bytes()
    yield _validity("timestamp unit's certificate", x509.load_pem_x509_certificate(unit), now)
    tls = (deployment.role_directory("tls") / "server.crt").read_bytes()
    yield _validity("TLS certificate", x509.load_pem_x509_certificate(tls), now)


def _validity(what: str, certificate: x509.Certificate, now: datetime) -> Finding:
    end = certificate.not_valid_after_utc
    until = f"{what} is valid until {end:%Y-%m-%d %H:%M} UTC"
    if end <= now:
        return Finding(FAULT, f"{what} expired on {end:%Y-%m-%d}", "renew it before anything else")
    return Finding(WARNING, until, "renew it soon") if end - now < _SOON else Finding(OK, until)


def _key_stores(deployment: Deployment) -> Iterator[Finding]:
    stores = deployment.settings.key_stores
    for role, labels in (("ca", ONLINE), ("tsa", ("unit-1",))):
        store = open_key_store(getattr(stores, role), deployment.directory)
        for label in labels:
            store.open(label)
        yield Finding(OK, f"the {role} key store opens, and its keys are there")
    try:
        open_key_store(stores.ca, deployment.directory).open(ROOT_LABEL)
    except NotFoundError:
        yield Finding(OK, "the root's key is not on this machine")
        return
    yield Finding(
        WARNING,
        "the root's key lies on this machine",
        "for anything but a trial, keep ca/keys/root.* offline and bring it back for ceremonies only",
    )


def _revocation_lists(deployment: Deployment) -> Iterator[Finding]:
    now = utc_now()
    folder = Path(deployment.settings.directories.public) / "crl"
    for label in LABELS:
        crl = x509.load_der_x509_crl((folder / f"{label}.crl").read_bytes())
        due = crl.next_update_utc
        if due is None or due <= now:
            yield Finding(FAULT, f"the CRL of {label} is out of date", "start the deployment: it issues a new one")
        else:
            yield Finding(OK, f"the CRL of {label} is current until {due:%Y-%m-%d %H:%M} UTC")


def _records(deployment: Deployment) -> Iterator[Finding]:
    database = KeyHolderDatabase(deployment.reader("keyholder"), deployment.log_signer("keyholder"))
    state = database.load()
    if state.halted:
        yield Finding(FAULT, f"signing is halted: {state.halted}", "run `sealwright ledger verify` and investigate")
    if not state.dual_control:
        yield Finding(
            WARNING,
            "dual control is off: one operator decides alone",
            "enrol a second operator, then turn it on; there is no way back",
        )
    store = open_key_store(deployment.settings.key_stores.keyholder, deployment.directory)
    for record in state.keys.values():
        if record.state is KeyState.DESTROYED:
            continue
        if record.public_key:
            store.open(record.name)
        software = record.protection.model is ProtectionModel.SOFTWARE
        yield Finding(
            WARNING if software else OK,
            f"signing key {record.name!r} of {record.subscriber} is {record.state.value} ({record.algorithm.value})",
            SOFTWARE_WARNING if software else "",
        )
        if record.chain:
            yield _validity("its certificate", x509.load_der_x509_certificate(record.chain[0]), utc_now())
    seen = Verifier.decode((deployment.directory / "trust" / "witness.vkey").read_text("ascii"))
    yield Finding(OK, f"the key holder ({seen.name}) saw {state.seen.size} entries of the log")
