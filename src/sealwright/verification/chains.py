"""Finding a way from a certificate to a trusted root, at a given time (RFC 5280, section 6).

The search here is bounded: certificates come from files that anybody may have made. A path that was found is
judged twice, by the rules below, which know why they object, and by `cryptography.x509.verification`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import SignatureAlgorithmOID as Algorithm
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store
from cryptography.x509.verification import VerificationError as Refusal

from sealwright.structures.x509 import extended_key_usages, key_description
from sealwright.verification.checks import Result

if TYPE_CHECKING:
    from sealwright.verification.trust import TrustStore

MAX_DEPTH: Final = 6
"""Certificates in a path, leaf and root among them; longer ones are not used in code signing."""

_MAX_SIGNATURES = 64  # checks of a certificate's signature during one search
_MAX_PATHS = 8
_MIN_RSA = 2048  # bits; shorter keys prove nothing today (NIST SP 800-131A)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_STRONG: Final = frozenset(
    (
        Algorithm.RSA_WITH_SHA256,
        Algorithm.RSA_WITH_SHA384,
        Algorithm.RSA_WITH_SHA512,
        Algorithm.RSASSA_PSS,
        Algorithm.ECDSA_WITH_SHA256,
        Algorithm.ECDSA_WITH_SHA384,
        Algorithm.ECDSA_WITH_SHA512,
    )
)
_ANY_USAGE: Final = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string


@dataclass(frozen=True, slots=True)
class Chain:
    """What the search found: the path, leaf first, as far as it leads, and why it is no good where it is not."""

    result: Result
    path: tuple[x509.Certificate, ...]
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Objection:
    result: Result
    detail: str


def find_chain(
    leaf: x509.Certificate, pool: Iterable[x509.Certificate], trust: "TrustStore", purpose: str, at: datetime
) -> Chain:
    """Find a path to a trusted root that may be used for a purpose (an extended key usage) at a time.

    `pool` are certificates that came with the signature: they help, but are not trusted.
    """
    helpers = tuple(dict.fromkeys((*trust.intermediates, *pool)))
    search = _Search(trust.roots, helpers)
    refused: Chain | None = None
    for path in search.paths(leaf):
        objection = _objection(path, purpose, at) or _library_objection(path, at)
        if objection is None:
            return Chain(Result.PASSED, path, f"leads to {name_of(path[-1])}")
        refused = refused or Chain(objection.result, path, objection.detail)
    return refused or _no_root(search)


def name_of(certificate: x509.Certificate) -> str:
    """Return a certificate's common name, or its whole subject if it has none."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[-1].value) if names else certificate.subject.rfc4514_string()


class _Search:
    """Walks from issuer to issuer; counts signature checks, so that a pool of look-alikes costs little."""

    def __init__(self, roots: Sequence[x509.Certificate], helpers: Sequence[x509.Certificate]) -> None:
        self._roots = frozenset(roots)
        self._candidates = (*roots, *(helper for helper in helpers if helper not in self._roots))
        self._budget = _MAX_SIGNATURES
        self.longest: tuple[x509.Certificate, ...] = ()
        self.has_namesake = False  # of the issuer that is missing above the longest path

    def paths(self, leaf: x509.Certificate) -> Iterator[tuple[x509.Certificate, ...]]:
        """Give the paths that end in a trusted root, at most _MAX_PATHS."""
        return islice(self._walk((leaf,)), _MAX_PATHS)

    def _walk(self, path: tuple[x509.Certificate, ...]) -> Iterator[tuple[x509.Certificate, ...]]:
        top = path[-1]
        if top in self._roots:
            yield path
            return
        namesakes = [parent for parent in self._candidates if parent.subject == top.issuer and parent not in path]
        if len(path) > len(self.longest):
            self.longest, self.has_namesake = path, bool(namesakes)
        if len(path) == MAX_DEPTH:
            return
        for parent in namesakes:
            if self._budget == 0:
                return
            self._budget -= 1
            if _issued(top, parent):
                yield from self._walk((*path, parent))


def _issued(child: x509.Certificate, parent: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(parent)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _no_root(search: _Search) -> Chain:
    top = search.longest[-1]
    if top.subject == top.issuer:
        return Chain(
            Result.INDETERMINATE,
            search.longest,
            f"the root {name_of(top)} is not trusted here",
            hint="if you trust it, give it with --trust",
        )
    issuer = top.issuer.rfc4514_string()
    if top.signature_algorithm_oid not in _STRONG:
        return Chain(Result.INDETERMINATE, search.longest, _weak_signature(top))
    if search.has_namesake:
        detail = f"no certificate at hand that is named {issuer} has issued {name_of(top)}"
    else:
        detail = f"the issuer of {name_of(top)}, {issuer}, is not at hand"
    return Chain(
        Result.INDETERMINATE,
        search.longest,
        detail,
        hint="give the publisher's root (and what is between) with --trust",
    )


def _objection(path: Sequence[x509.Certificate], purpose: str, at: datetime) -> _Objection | None:
    """Return the gravest thing that speaks against a path; what is wrong comes before what proves nothing."""
    found = [
        objection
        for depth, certificate in enumerate(path)
        for objection in _objections(certificate, depth, purpose, at, is_root=depth == len(path) - 1)
    ]
    return min(found, key=lambda objection: objection.result is not Result.FAILED, default=None)


def _objections(
    certificate: x509.Certificate, depth: int, purpose: str, at: datetime, *, is_root: bool
) -> Iterator[_Objection]:
    name = name_of(certificate)
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        yield _Objection(Result.FAILED, f"the certificate {name} was not valid at {at:%Y-%m-%d %H:%M:%S} UTC")
    for extension in certificate.extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            yield _Objection(
                Result.FAILED,
                f"the certificate {name} has the unknown critical extension {extension.oid.dotted_string}",
            )
    if depth > 0:
        yield from _authority_objections(certificate, depth, name)
    usages = extended_key_usages(certificate)
    if depth > 0 and not is_root and usages and purpose not in usages and _ANY_USAGE not in usages:
        yield _Objection(Result.FAILED, f"the authority {name} may not issue certificates for this purpose")
    if not is_root and certificate.signature_algorithm_oid not in _STRONG:
        yield _Objection(Result.INDETERMINATE, _weak_signature(certificate))
    if weakness := weak_key(certificate):
        yield _Objection(Result.INDETERMINATE, f"the key of {name} proves nothing: {weakness}")


def _weak_signature(certificate: x509.Certificate) -> str:
    algorithm = certificate.signature_algorithm_oid.dotted_string
    return f"the certificate {name_of(certificate)} is signed by an algorithm that proves nothing here ({algorithm})"


def _authority_objections(certificate: x509.Certificate, depth: int, name: str) -> Iterator[_Objection]:
    """RFC 5280, section 6.1.4 (k) to (n): an issuer must be an authority that may sign certificates."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = x509.BasicConstraints(ca=False, path_length=None)
    if not constraints.ca:
        yield _Objection(Result.FAILED, f"{name} issued a certificate, but is no certification authority")
    elif constraints.path_length is not None and constraints.path_length < depth - 1:
        yield _Objection(Result.FAILED, f"the authority {name} may not have so many authorities below it")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        yield _Objection(Result.FAILED, f"the key of {name} may not sign certificates")


def weak_key(certificate: x509.Certificate) -> str:
    """Tell why a certificate's key is too weak or of an unknown kind; empty if it is neither."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA of {key.key_size} bits" if key.key_size < _MIN_RSA else ""
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return ""
    return f"a key of type {key_description(key)}"


def _library_objection(path: Sequence[x509.Certificate], at: datetime) -> _Objection | None:
    """Let the library judge the very path that was found; it knows name constraints, for instance."""
    if len(path) == 1:
        return None  # the signer's certificate itself is trusted
    authorities = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    verifier = (
        PolicyBuilder()
        .store(Store([path[-1]]))
        .time(at.astimezone(UTC))
        .max_chain_depth(MAX_DEPTH)
        .extension_policies(ca_policy=authorities, ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        verifier.verify(path[0], list(path[1:-1]))
    except Refusal as refusal:
        return _Objection(Result.FAILED, f"the path to {name_of(path[-1])} is refused: {_reason(refusal)}")
    return None


def _reason(refusal: Refusal) -> str:
    text = str(refusal).split(" (encountered", 1)[0]
    return text.removeprefix("validation failed: ").removeprefix("candidates exhausted: ")
