"""What `sealwright init` is asked for, and the addresses that follow from it."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sealwright.domain.errors import ConfigurationError
from sealwright.domain.keys import KeyAlgorithm

DEFAULT_URL = "https://localhost:8443"
_STANDARD_TLS, _STANDARD_HTTP = 443, 80


@dataclass(frozen=True, slots=True)
class Plan:
    """What `init` is asked for. `name` is the publisher: subject of the first certificate, and of the hierarchy."""

    directory: Path
    url: str = DEFAULT_URL
    key_store: str = ""
    name: str = "Sealwright Demonstration"
    country: str = "XX"
    place: str = "Nowhere"
    key_algorithm: str = KeyAlgorithm.RSA_3072.value

    @property
    def subject(self) -> dict[str, str]:
        """The subject of the first subscriber's certificates (CSBR 7.1.4.2)."""
        return {"CN": self.name, "O": self.name, "C": self.country, "L": self.place}


def addresses(url: str) -> tuple[str, int, str, int]:
    """Return host, TLS port, plain URL and plain port: the plain listener is one port above (80 beside 443)."""
    parts = urlsplit(url)
    try:
        port = parts.port or _STANDARD_TLS
    except ValueError:
        port = -1
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or port < 1:
        raise ConfigurationError(f"{url!r} cannot be the service's address", hint=f"write it like {DEFAULT_URL}")
    plain_port = _STANDARD_HTTP if port == _STANDARD_TLS else port + 1
    plain_url = f"http://{parts.hostname}" + ("" if plain_port == _STANDARD_HTTP else f":{plain_port}")
    return parts.hostname, port, plain_url, plain_port
