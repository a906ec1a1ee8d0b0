"""Administrative requests: made, signed with the administrator's key, handed in; what the key holder believes."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sealwright.cli.use.session import load_request_key, open_service
from sealwright.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from sealwright.client.service import SigningService
    from sealwright.contracts import AdminAnswer, Authorisation, AuthorisationEnvelope
    from sealwright.domain.actions import AnyAction
    from sealwright.settings import ClientSettings
    from sealwright.structures.http_signatures import PrivateKey

_VALIDITY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Administrator:
    """An administrator at work: a name, a key, the service, and the deployment that requests are meant for."""

    name: str
    key: "PrivateKey"
    service: "SigningService"
    deployment: str

    def carry_out(self, action: "AnyAction") -> "AdminAnswer":
        """Sign one act and have it carried out. Raises what the key holder answers."""
        from sealwright.contracts import AdminEnvelope, AdminSignature  # noqa: PLC0415 - `--help` does not need it
        from sealwright.domain.actions import AdminRequest, encode_request  # noqa: PLC0415 - the same
        from sealwright.structures.http_signatures import admin_bytes, signer  # noqa: PLC0415 - slow to import

        not_after = (datetime.now(UTC) + _VALIDITY).isoformat(timespec="seconds")
        request = encode_request(AdminRequest(secrets.token_hex(16), self.deployment, not_after, action))
        _, sign = signer(self.key)
        return self.service.administer(AdminEnvelope(request, [AdminSignature(self.name, sign(admin_bytes(request)))]))

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


def open_administrator(settings: "ClientSettings") -> Administrator:
    """Return the administrator named in the settings. Raises ConfigurationError."""
    from sealwright.structures.note import Verifier  # noqa: PLC0415 - slow to import

    return Administrator(
        name=settings.need("administrator"),
        key=load_request_key(settings.need_path("administrator_key")),
        # The request carries its own signatures; the workload's is there for what is asked beside it.
        service=open_service(settings, signed=bool(settings.workload)),
        deployment=Verifier.decode(settings.need("log_key")).name,
    )
