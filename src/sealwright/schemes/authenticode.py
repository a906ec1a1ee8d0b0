"""Authenticode: PKCS #7 SignedData over the digest of a Windows file.

Signed attributes: contentType, messageDigest, SpcStatementType, SpcSpOpusInfo and the key-protection mark.
Source: Microsoft, "Windows Authenticode Portable Executable Signature Format" (2008).
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from sealwright.domain import oids
from sealwright.domain.errors import InvalidRequestError
from sealwright.domain.keys import InputModel, Lifetime
from sealwright.structures.authenticode import IndirectDataTemplate, opus_info, statement_type
from sealwright.structures.cms import SignerTemplate, attribute
from sealwright.structures.protection import signature_protection

if TYPE_CHECKING:
    from sealwright.contracts import Scheme
    from sealwright.domain.keys import DigestAlgorithm
    from sealwright.domain.messages import SignerContext

_INTENT_SIZE = 32
_MAX_NAME = 256
_MAX_URL = 1024
_URL = re.compile(r"https?://[^/?#\s][!-~]*", re.IGNORECASE)
_PARAMETERS = ("program_name", "program_url")
_LAST_OF_PLANE_0 = "\uffff"


class PreparedAuthenticode:
    """Authenticode for one certificate and one set of parameters; what does not change is encoded once."""

    __slots__ = ("_attributes", "_content", "_signer")

    def __init__(
        self, context: "SignerContext", digest: "DigestAlgorithm", program_name: str, program_url: str
    ) -> None:
        self._signer = SignerTemplate(context.chain, digest, context.key_algorithm, oids.SPC_INDIRECT_DATA, version=1)
        self._content = IndirectDataTemplate(digest)
        mark = signature_protection(
            context.protection,
            Lifetime.EPHEMERAL if context.ephemeral else Lifetime.PERSISTENT,
            InputModel.FILE if context.file_model else InputModel.DIGEST,
            bytes(_INTENT_SIZE),
        )
        # The intent's hash stands at the very end of the attribute.
        self._attributes = self._signer.attributes_template(
            (attribute(oids.SPC_STATEMENT_TYPE, statement_type()), 0),
            (attribute(oids.SPC_SP_OPUS_INFO, opus_info(program_name, program_url)), 0),
            (attribute(oids.SIGNATURE_PROTECTION, mark)[:-_INTENT_SIZE], _INTENT_SIZE),
        )

    def to_be_signed(self, digest: bytes, intent_sha256: bytes) -> bytes:
        """Return the SET OF signed attributes; the caller hashes it with the prepared digest and signs that.

        Raises DigestLengthError for a digest of another length, InvalidRequestError for an intent that is no SHA-256.
        """
        if len(intent_sha256) != _INTENT_SIZE:
            raise InvalidRequestError(f"the intent's SHA-256 has {_INTENT_SIZE} bytes")
        return self._attributes.fill(self._content.content_digest(digest), intent_sha256)

    def assemble(self, digest: bytes, to_be_signed: bytes, signature: bytes) -> bytes:
        """Return the CMS ContentInfo in DER. Raises DigestLengthError."""
        return self._signer.assemble(self._content.encapsulated(digest), to_be_signed, signature)


class Authenticode:
    """The scheme of PE, MSI, CAB and the other Windows formats."""

    name: str = "authenticode"
    blind: bool = False
    parameters: ClassVar[tuple[str, ...]] = _PARAMETERS

    def prepare(
        self, context: "SignerContext", digest: "DigestAlgorithm", parameters: Mapping[str, str]
    ) -> PreparedAuthenticode:
        """Check the parameters `program_name` and `program_url` and prepare the constants.

        Raises InvalidRequestError for an unknown parameter or one out of bounds.
        """
        unknown = sorted(set(parameters) - set(_PARAMETERS))
        if unknown:
            raise InvalidRequestError(
                f"authenticode has no parameter {', '.join(map(repr, unknown))}",
                hint=f"it takes {' and '.join(_PARAMETERS)}",
            )
        name, url = (_text(parameters, key) for key in _PARAMETERS)
        return PreparedAuthenticode(context, digest, _program_name(name), _program_url(url))


def _text(parameters: Mapping[str, str], key: str) -> str:
    value: object = parameters.get(key, "")
    if not isinstance(value, str):
        raise InvalidRequestError(f"{key} is text")
    return value


def _program_name(name: str) -> str:
    if len(name) > _MAX_NAME:
        raise InvalidRequestError(f"program_name has at most {_MAX_NAME} characters")
    if any(character > _LAST_OF_PLANE_0 or not (character == " " or character.isprintable()) for character in name):
        raise InvalidRequestError(
            "program_name holds a character that a BMPString cannot carry or a screen cannot show",
            hint="leave out control characters and emoji",
        )
    return name


def _program_url(url: str) -> str:
    if len(url) > _MAX_URL:
        raise InvalidRequestError(f"program_url has at most {_MAX_URL} characters")
    if url and not _URL.fullmatch(url):
        raise InvalidRequestError(
            "program_url is no http or https address", hint="write it in ASCII, such as https://example.com/program"
        )
    return url


SCHEME: Final["Scheme"] = Authenticode()
