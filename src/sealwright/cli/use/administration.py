"""Administrative requests: made, signed with the administrator's key, handed in; what the key holder believes."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealwright.cli.use.session import load_request_key, open_service
from sealwright.domain.errors import ConfigurationError, SecondSignatureError

if TYPE_CHECKING:
    from sealwright.client.service import SigningService
    from sealwright.domain.actions import AnyAction
    from sealwright.domain.messages import (
        AdminAnswer,
        AdminEnvelope,
        AdminSignature,
        Authorisation,
        AuthorisationEnvelope,
    )
    from sealwright.settings import ClientSettings
    from sealwright.structures.http_signatures import PrivateKey

_VALIDITY: Final = timedelta(minutes=10)
_VALIDITY_FOR_TWO: Final = timedelta(hours=23)


@dataclass(frozen=True, slots=True)
class Administrator:
    """An administrator at work: a name, a key, the service, and the deployment that requests are meant for."""

    name: str
    key: "PrivateKey"
    service: "SigningService"
    deployment: str

    def carry_out(self, action: "AnyAction") -> "AdminAnswer":
        """Sign one act and have it carried out. Raises what the key holder answers.

        Under dual control the signed request is left in a file for a second operator: SecondSignatureError names it.
        """
        from sealwright.domain.actions import AdminRequest, action_name, encode_request  # noqa: PLC0415 - the same
        from sealwright.domain.messages import AdminEnvelope  # noqa: PLC0415 - `--help` does not need it

        dual = self.service.status().dual_control
        validity = _VALIDITY_FOR_TWO if dual else _VALIDITY
        not_after = (datetime.now(UTC) + validity).isoformat(timespec="seconds")
        identity = secrets.token_hex(16)
        request = encode_request(AdminRequest(identity, self.deployment, not_after, action))
        envelope = AdminEnvelope(request, [self._sign(request)])
        if not dual:
            return self.service.administer(envelope)
        file = Path(f"sealwright-{action_name(action)}-{identity[:8]}.json").absolute()
        _leave(envelope, file)
        raise SecondSignatureError(
            f"dual control is on: {self.name} has signed, a second operator must sign too",
            hint=f"let them run, within a day: sealwright operators cosign {file}",
        )

    def cosign(self, envelope: "AdminEnvelope") -> "AdminAnswer":
        """Add this administrator's signature to a request that another has signed, and have it carried out."""
        from sealwright.domain.messages import AdminEnvelope  # noqa: PLC0415 - `--help` does not need it

        signatures = [*envelope.signatures, self._sign(envelope.request)]
        return self.service.administer(AdminEnvelope(envelope.request, signatures))

    def _sign(self, request: bytes) -> "AdminSignature":
        from sealwright.domain.messages import AdminSignature  # noqa: PLC0415 - `--help` does not need it
        from sealwright.structures.http_signatures import admin_bytes, signer  # noqa: PLC0415 - slow to import

        _, sign = signer(self.key)
        return AdminSignature(self.name, sign(admin_bytes(request)))

    def authorise(self, authorisation: "Authorisation") -> "AuthorisationEnvelope":
        """Sign an authorisation as registration officer. Raises ConfigurationError for a key of another kind."""
        from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415 - slow to import
            ECDSA,
            EllipticCurvePrivateKey,
        )
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - slow to import

        from sealwright.structures.authorisation import sign_authorisation  # noqa: PLC0415 - the same

        if not isinstance(self.key, EllipticCurvePrivateKey):
            raise ConfigurationError("registration officers sign with P-256 keys, and the administrator's is another")
        key = self.key
        return sign_authorisation(authorisation, self.name, lambda data: key.sign(data, ECDSA(SHA256())))


def _leave(envelope: "AdminEnvelope", file: Path) -> None:
    import msgspec  # noqa: PLC0415 - `--help` does not need it

    from sealwright.settings import atomic_write  # noqa: PLC0415 - the same

    atomic_write(file, msgspec.json.encode(envelope))


def open_administrator(settings: "ClientSettings") -> Administrator:
    """Return the administrator named in the settings. Raises ConfigurationError."""
    from sealwright.structures.note import Verifier  # noqa: PLC0415 - slow to import

    return Administrator(
        name=settings.need("administrator"),
        key=load_request_key(settings.need_path("administrator_key")),
        # The request carries its own signatures; the identity is for what is asked beside it.
        service=open_service(settings),
        deployment=Verifier.decode(settings.need("log_key")).name,
    )
