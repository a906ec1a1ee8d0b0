"""Creates an embedded deployment, step by step; each step is skipped if its result is there already."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from sqlalchemy import Engine

from sealwright.contracts import KeyStore, SigningKey
from sealwright.custody.holder import KeyHolder
from sealwright.domain.actions import (
    AdminRequest,
    AnyAction,
    CertifyKey,
    CreateKey,
    EnrolPrincipal,
    SetPolicy,
    encode_request,
)
from sealwright.domain.errors import ConfigurationError, ConflictError, NotFoundError
from sealwright.domain.keys import KeyAlgorithm, KeyState, Module, Operator, Protection
from sealwright.domain.messages import AdminAnswer, AdminEnvelope, AdminSignature, Authorisation, IssueRequest
from sealwright.domain.records import PrincipalRecord
from sealwright.issuance.hierarchy import HierarchyKeys
from sealwright.keystores import check_scheme, open_key_store
from sealwright.policy.schema import default_policy
from sealwright.schemes import names as scheme_names
from sealwright.servers.ca import LABELS, Works
from sealwright.servers.deployment import Deployment, load_ed25519, new_ed25519, public_bytes, utc_now
from sealwright.servers.keyholder import build as build_keyholder
from sealwright.servers.plan import DEFAULT_URL, Plan, addresses
from sealwright.servers.tls_identity import make_tls_identity
from sealwright.servers.tsa import KEY_LABEL
from sealwright.settings import (
    DEPLOYMENT_FILE,
    ClientSettings,
    DeploymentSettings,
    Directories,
    KeyStores,
    Listen,
    atomic_write,
    load_deployment,
    make_private_directory,
    save_client,
    save_deployment,
)
from sealwright.storage.keyholder import KeyHolderDatabase
from sealwright.storage.migrations import METADATA, migrate
from sealwright.storage.role_log import RoleLog
from sealwright.storage.signing import SigningDatabase
from sealwright.structures.authorisation import sign_authorisation
from sealwright.structures.http_signatures import admin_bytes, signer
from sealwright.structures.note import Verifier
from sealwright.structures.x509 import spki_sha256

OPERATOR, WORKLOAD, SUBSCRIBER, KEY = "operator", "cli", "first", "default"
_PUBLIC = 0o644
_SOFTWARE = "software:"
_SHORT = timedelta(hours=1)


@dataclass(slots=True)
class Initialiser:
    """Carries out a plan; `progress` is told each step."""

    plan: Plan
    progress: Callable[[str], None]
    changed: bool = field(default=False, init=False)
    _engines: list[Engine] = field(default_factory=list, init=False)
    _made_holder: KeyHolder | None = field(default=None, init=False)
    _made_works: Works | None = field(default=None, init=False)

    def run(self) -> Deployment:
        """Create what is missing and return the deployment. Raises ConfigurationError rather than overwrite."""
        deployment = self._settle()
        for step in (
            self._directories,
            self._secrets,
            self._databases,
            self._tls,
            self._hierarchy,
            self._timestamp_unit,
            self._principals,
            self._signing_key,
            self._publish,
            self._client,
        ):
            step(deployment)
        for engine in self._engines:
            engine.dispose()
        return deployment

    def _engine(self, deployment: Deployment, role: str) -> Engine:
        self._engines.append(deployment.engine(role))
        return self._engines[-1]

    def _holder(self, deployment: Deployment) -> KeyHolder:
        if self._made_holder is None:
            self._made_holder = build_keyholder(deployment, self._engine(deployment, "keyholder"))
        return self._made_holder

    def _works(self, deployment: Deployment) -> Works:
        if self._made_works is None:
            self._made_works = Works(deployment, self._engine(deployment, "ca"))
        return self._made_works

    def _step(self, what: str) -> None:
        self.changed = True
        self.progress(what)

    def _settle(self) -> Deployment:
        directory = self.plan.directory.absolute()
        if (directory / DEPLOYMENT_FILE).exists():
            present = load_deployment(directory)
            if self.plan.url not in {present.url, DEFAULT_URL}:
                raise ConfigurationError(
                    f"{directory} is a deployment for {present.url} already",
                    hint="choose another directory; an address cannot be changed later, it stands in certificates",
                )
            return Deployment.load(directory)
        if directory.exists() and any(directory.iterdir()):
            raise ConfigurationError(
                f"{directory} is not empty and no deployment", hint="choose a new directory: nothing is overwritten"
            )
        host, port, plain_url, plain_port = addresses(self.plan.url)
        key_store = self.plan.key_store
        if check_scheme(key_store or _SOFTWARE) == "software" and key_store in {"", _SOFTWARE}:
            key_store = "software:keyholder/keys?passphrase-file=keyholder/passphrase"
        self._step("settings")
        make_private_directory(directory)
        settings = DeploymentSettings(
            url=self.plan.url.rstrip("/"),
            plain_url=plain_url,
            log_origin=f"{host}/sealwright/{secrets.token_hex(8)}",
            subscriber=SUBSCRIBER,
            listen=Listen(port=port, plain_port=plain_port),
            key_stores=KeyStores(
                keyholder=key_store,
                ca="software:ca/keys?passphrase-file=ca/passphrase",
                tsa="software:tsa/keys?passphrase-file=tsa/passphrase",
            ),
        )
        save_deployment(settings, directory)
        return Deployment.load(directory)

    @staticmethod
    def _directories(deployment: Deployment) -> None:
        for name in Directories.__struct_fields__:
            make_private_directory(deployment.role_directory(name))
        make_private_directory(deployment.directory / "trust")
        make_private_directory(deployment.directory / "client")

    def _secrets(self, deployment: Deployment) -> None:
        stores = deployment.settings.key_stores
        for role in ("keyholder", "ca", "tsa"):
            passphrase = deployment.role_directory(role) / "passphrase"
            if f"passphrase-file={role}/passphrase" in getattr(stores, role) and not passphrase.exists():
                self._step(f"passphrase of the {role} key store")
                atomic_write(passphrase, secrets.token_urlsafe(32).encode() + b"\n")
        trust = deployment.directory / "trust"
        for role in METADATA:
            public = new_ed25519(deployment.role_directory(role) / "log.key")
            verifier = Verifier(deployment.log_name(role), public).encode()
            atomic_write(trust / f"{role}.vkey", verifier.encode() + b"\n", _PUBLIC)
        public = new_ed25519(deployment.role_directory("keyholder") / "witness.key")
        witness = Verifier(f"{deployment.settings.log_origin}/keyholder-witness", public).as_witness()
        atomic_write(trust / "witness.vkey", witness.encode().encode() + b"\n", _PUBLIC)

    def _databases(self, deployment: Deployment) -> None:
        for role, metadata in METADATA.items():
            engine, log = deployment.engine(role), deployment.log_signer(role)
            if migrate(engine, role):
                self._step(f"database of the {role} role")
            match role:
                case "signing":
                    SigningDatabase(engine, log).create()
                case "keyholder":
                    KeyHolderDatabase(engine, log).create()
                case _:
                    RoleLog(engine, metadata, log).create()
            engine.dispose()
            # SQLite makes the file with the umask's mode; nobody else may read it.
            path = deployment.role_directory(role) / f"{role}.db"
            if path.exists():
                path.chmod(0o600)

    def _tls(self, deployment: Deployment) -> None:
        directory = deployment.role_directory("tls")
        if (directory / "server.key").exists():
            return
        self._step("TLS identity")
        host = urlsplit(deployment.settings.url).hostname or "localhost"
        hosts = list(dict.fromkeys([host, "localhost", "127.0.0.1"]))
        authority, certificate, key = make_tls_identity(hosts, utc_now())
        atomic_write(directory / "ca.crt", authority, _PUBLIC)
        atomic_write(directory / "server.crt", certificate, _PUBLIC)
        atomic_write(directory / "server.key", key)

    def _hierarchy(self, deployment: Deployment) -> None:
        directory = deployment.role_directory("ca")
        if all((directory / f"{label}.cer").exists() for label in LABELS):
            return
        self._step("root, code signing CA and timestamp CA")
        works = self._works(deployment)
        store = works.key_store
        keys = HierarchyKeys(
            root=_open_or_create(store, "root", KeyAlgorithm.P384),
            code_signing=_open_or_create(store, "code-signing", KeyAlgorithm.P256),
            timestamp=_open_or_create(store, "timestamp", KeyAlgorithm.P256),
        )
        organisation = {"O": self.plan.name, "C": self.plan.country}
        made = works.builder.hierarchy(keys, self.plan.name[:40], organisation)
        for label, issuer in zip(LABELS, (made.root, made.code_signing, made.timestamp), strict=True):
            atomic_write(directory / f"{label}.cer", issuer.certificate.public_bytes(Encoding.DER), _PUBLIC)
        roots = made.root.certificate.public_bytes(Encoding.PEM)
        atomic_write(deployment.directory / "trust" / "roots.pem", roots, _PUBLIC)

    def _operator(self, deployment: Deployment) -> ec.EllipticCurvePrivateKey:
        return _request_key(deployment.directory / "client" / "operator.key")

    def _timestamp_unit(self, deployment: Deployment) -> None:
        directory = deployment.role_directory("tsa")
        if (directory / "chain.pem").exists():
            return
        self._step("timestamp unit (RSA-3072)")
        store = open_key_store(deployment.settings.key_stores.tsa, deployment.directory)
        key = _open_or_create(store, KEY_LABEL, KeyAlgorithm.RSA_3072)
        subject = {**self.plan.subject, "CN": f"{self.plan.name[:40]} Timestamp Unit 1"}
        chain = self._issue(deployment, key.public_key, "private-timestamp", subject, Module(store.module))
        pem = b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in chain)
        atomic_write(directory / "chain.pem", pem, _PUBLIC)

    def _issue(
        self, deployment: Deployment, public_key: bytes, profile: str, subject: dict[str, str], module: Module
    ) -> list[bytes]:
        works = self._works(deployment)
        operator = self._operator(deployment)
        works.database.enrol_officer(OPERATOR, _spki(operator))
        authorisation = Authorisation(
            id=secrets.token_hex(16),
            profile=profile,
            subject=subject,
            protection=Protection(Operator.SUBSCRIBER, Operator.SUBSCRIBER, module),
            not_after=(utc_now() + _SHORT).isoformat(timespec="seconds"),
            spki_sha256=spki_sha256(public_key),
        )
        envelope = sign_authorisation(authorisation, OPERATOR, lambda data: operator.sign(data, ec.ECDSA(SHA256())))
        return works.authority().issue(IssueRequest(envelope, public_key)).chain

    def _principals(self, deployment: Deployment) -> None:
        holder = self._holder(deployment)
        operator = self._operator(deployment)
        if not holder.state.principals:
            self._step("first operator")
            holder.found(PrincipalRecord(OPERATOR, "person", SUBSCRIBER, _spki(operator), administrator=True))
        if WORKLOAD not in holder.state.principals:
            self._step("workload for the command line")
            workload = _request_key(deployment.directory / "client" / "workload.key")
            self._act(
                deployment,
                EnrolPrincipal(name=WORKLOAD, kind="workload", subscriber=SUBSCRIBER, public_key=_spki(workload)),
            )
        if SUBSCRIBER not in self._holder(deployment).state.policies:
            self._step("policy")
            self._act(deployment, SetPolicy(subscriber=SUBSCRIBER, text=default_policy(SUBSCRIBER, WORKLOAD)))

    def _act(self, deployment: Deployment, action: AnyAction) -> AdminAnswer:
        request = encode_request(
            AdminRequest(
                id=secrets.token_hex(16),
                deployment=deployment.settings.log_origin,
                not_after=(utc_now() + _SHORT).isoformat(timespec="seconds"),
                action=action,
            )
        )
        _, sign = signer(self._operator(deployment))
        envelope = AdminEnvelope(request, [AdminSignature(OPERATOR, sign(admin_bytes(request)))])
        return self._holder(deployment).administer(envelope)

    def _signing_key(self, deployment: Deployment) -> None:
        state = self._holder(deployment).state
        record = state.keys.get(KEY)
        if record is not None and record.state is not KeyState.CREATED:
            return
        self._step(f"signing key {KEY!r} ({self.plan.key_algorithm}) and its certificate")
        if record is None:
            self._act(
                deployment,
                CreateKey(
                    name=KEY,
                    subscriber=SUBSCRIBER,
                    algorithm=self.plan.key_algorithm,
                    lifetime="persistent",
                    schemes=list(scheme_names()),
                ),
            )
            record = self._holder(deployment).state.keys[KEY]
        chain = self._issue(
            deployment, record.public_key, "private-code-signing", self.plan.subject, record.protection.module
        )
        self._act(deployment, CertifyKey(name=KEY, chain=chain))

    def _publish(self, deployment: Deployment) -> None:
        works = self._works(deployment)
        for folder in ("crl", "ca"):
            (Path(deployment.settings.directories.public) / folder).mkdir(mode=0o755, exist_ok=True)
        for label in LABELS:
            works.publish_certificate(label)
        if works.publish_crls():
            self._step("certificate revocation lists")

    def _client(self, deployment: Deployment) -> None:
        path = deployment.directory / "client.toml"
        if path.exists():
            return
        self._step("client.toml")
        witness = load_ed25519(deployment.role_directory("keyholder") / "witness.key")
        settings = deployment.settings
        name = f"{settings.log_origin}/keyholder-witness"
        save_client(
            ClientSettings(
                server=settings.url,
                tls_ca=Path("tls/ca.crt"),
                tsa=(f"{settings.plain_url}/tsa",),
                roots=Path("trust/roots.pem"),
                crl=Path("trust/crls.pem"),
                key=KEY,
                workload=WORKLOAD,
                workload_key=Path("client/workload.key"),
                administrator=OPERATOR,
                administrator_key=Path("client/operator.key"),
                log_key=deployment.log_verifier("signing").encode(),
                witness_key=Verifier(name, public_bytes(witness)).as_witness().encode(),
                subject=self.plan.subject,
            ),
            path,
        )


def _open_or_create(store: KeyStore, label: str, algorithm: KeyAlgorithm) -> SigningKey:
    try:
        return store.open(label)
    except NotFoundError:
        return store.create(label, algorithm)


def _request_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Load a P-256 key that signs requests, or make it: a file of mode 0600."""
    if not path.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        atomic_write(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConflictError(f"{path} holds another kind of key than P-256")
    return key


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
