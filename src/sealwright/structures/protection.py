"""The key-protection mark: what a certificate and what one signature state of the key behind them.

The certificate extension (id-sw-keyProtection) carries the certification authority's statement, the signed
attribute (id-sw-signatureProtection) the signing service's own; `DEFINITIONS IMPLICIT TAGS`, DER, extensible.
A value that this version does not know is read as `unknown`: newer marks stay readable.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sealwright.domain.errors import InvalidRequestError, MalformedError
from sealwright.domain.keys import InputModel, Lifetime, Operator, Protection, ProtectionModel
from sealwright.structures import ber
from sealwright.structures.asn1 import sequence_of, tlv

UNKNOWN = "unknown"

_MODELS: Mapping[int, str] = {model.value: model.label for model in ProtectionModel}
_OPERATORS: Mapping[int, str] = {item.value: item.name.lower().replace("_", "-") for item in Operator}
_LIFETIMES: Mapping[int, str] = {0: Lifetime.PERSISTENT.value, 1: Lifetime.EPHEMERAL.value}
_INPUTS: Mapping[int, str] = {0: InputModel.DIGEST.value, 1: InputModel.FILE.value}
_CONTROLS: Mapping[int, str] = {1: "scal1", 2: "scal2"}
_SCHEMES: Mapping[int, str] = {0: "fips-140-2", 1: "fips-140-3", 2: "common-criteria"}

_METHODS = range(1, 8)  # CSBR 6.2.7.4.2: the ways to verify that a module holds the key
_MODULE, _CONTROL, _OPERATOR, _CUSTODIAN, _REQUEST = 0xA0, 0x81, 0x82, 0x83, 0x80
_MAX_CUSTODIAN = 128
_REQUEST_SIZE = 32


@dataclass(frozen=True, slots=True)
class ModuleAssurance:
    """What a module is certified to: the scheme (`fips-140-2`, `fips-140-3`, `common-criteria`) and its level."""

    scheme: str
    level: int


@dataclass(frozen=True, slots=True)
class KeyProtection:
    """What the certification authority states of a key; None where it states nothing.

    `verified_by` is the method's number in CSBR 6.2.7.4.2; `custodian` names the service that keeps the key.
    """

    model: str
    operator: str
    verified_by: int | None = None
    module: ModuleAssurance | None = None
    control: str | None = None
    custodian: str | None = None


@dataclass(frozen=True, slots=True)
class SignatureProtection:
    """What the signing service states of one signature; `request` is the SHA-256 of the ledger's intent entry."""

    model: str
    lifetime: str
    input: str
    request: bytes | None = None


def key_protection_extension(
    protection: Protection,
    custodian: str | None = None,
    *,
    verified_by: int | None = None,
    module: ModuleAssurance | None = None,
    control: str | None = None,
) -> bytes:
    """Return the DER value of id-sw-keyProtection; the extension is never critical.

    Raises InvalidRequestError for what the definition forbids: a verification method or module for a software
    key (CSBR 7.1.2.4 c: no hint at hardware that nobody verified), a sole-control level outside a signing service.
    """
    model = protection.model
    if model is ProtectionModel.SOFTWARE and (verified_by is not None or module is not None):
        raise InvalidRequestError("a software key has no module that could have been verified")
    if verified_by is not None and verified_by not in _METHODS:
        raise InvalidRequestError("the verification method is 1 to 7 (CSBR 6.2.7.4.2)")
    if control is not None and model is not ProtectionModel.SIGNING_SERVICE:
        raise InvalidRequestError("a sole-control level is stated of keys in a signing service only")
    if custodian is not None and not 0 < len(custodian) <= _MAX_CUSTODIAN:
        raise InvalidRequestError(f"the custodian's name has 1 to {_MAX_CUSTODIAN} characters")
    return sequence_of(
        _enumerated(model),
        b"" if verified_by is None else tlv(ber.INTEGER, bytes((verified_by,))),
        b"" if module is None else tlv(_MODULE, *_assurance(module)),
        b"" if control is None else _enumerated(_number(_CONTROLS, control, "control"), _CONTROL),
        _enumerated(protection.operator, _OPERATOR),
        b"" if custodian is None else tlv(_CUSTODIAN, custodian.encode()),
    )


def signature_protection(
    protection: Protection, lifetime: Lifetime, input_model: InputModel, request: bytes | None = None
) -> bytes:
    """Return the DER value of id-sw-signatureProtection; `request`, the intent's SHA-256, stands at its very end."""
    if request is not None and len(request) != _REQUEST_SIZE:
        raise InvalidRequestError(f"the intent's SHA-256 has {_REQUEST_SIZE} bytes")
    return sequence_of(
        _enumerated(protection.model),
        _enumerated(_number(_LIFETIMES, lifetime.value, "lifetime")),
        _enumerated(_number(_INPUTS, input_model.value, "input")),
        b"" if request is None else tlv(_REQUEST, request),
    )


def read_key_protection(der: bytes) -> KeyProtection:
    """Read the value of id-sw-keyProtection; unknown values become `unknown`. Raises MalformedError."""
    cursor = ber.read(der).sequence()
    model = _value(cursor.take(), _MODELS)
    verified_by = cursor.maybe(ber.INTEGER)
    module = cursor.maybe(_MODULE)
    control = cursor.maybe(_CONTROL)
    operator = cursor.maybe(_OPERATOR)
    custodian = cursor.maybe(_CUSTODIAN)
    return KeyProtection(
        model=model,
        operator=UNKNOWN if operator is None else _value(operator, _OPERATORS, _OPERATOR),
        verified_by=None if verified_by is None else verified_by.integer(),
        module=None if module is None else _read_assurance(module),
        control=None if control is None else _value(control, _CONTROLS, _CONTROL),
        custodian=None if custodian is None else _text(custodian.octets(_CUSTODIAN)),
    )


def read_signature_protection(der: bytes) -> SignatureProtection:
    """Read the value of id-sw-signatureProtection; unknown values become `unknown`. Raises MalformedError."""
    cursor = ber.read(der).sequence()
    model = _value(cursor.take(), _MODELS)
    lifetime = _value(cursor.take(), _LIFETIMES)
    input_model = _value(cursor.take(), _INPUTS)
    request = cursor.maybe(_REQUEST)
    if request is not None and len(request.contents) != _REQUEST_SIZE:
        raise MalformedError("the key-protection mark names its request by something else than a SHA-256")
    return SignatureProtection(model, lifetime, input_model, None if request is None else request.contents)


def _assurance(module: ModuleAssurance) -> tuple[bytes, bytes]:
    if module.level not in _METHODS:
        raise InvalidRequestError("a module's level is 1 to 7")
    return (
        _enumerated(_number(_SCHEMES, module.scheme, "module scheme")),
        tlv(ber.INTEGER, bytes((module.level,))),
    )


def _read_assurance(element: ber.Element) -> ModuleAssurance:
    cursor = element.sequence(_MODULE)
    return ModuleAssurance(_value(cursor.take(), _SCHEMES), cursor.take().integer())


def _enumerated(number: int, tag: int = ber.ENUMERATED) -> bytes:
    return tlv(tag, bytes((number,)))


def _value(element: ber.Element, names: Mapping[int, str], tag: int = ber.ENUMERATED) -> str:
    return names.get(element.integer(tag), UNKNOWN)


def _number(names: Mapping[int, str], wanted: str, what: str) -> int:
    for number, name in names.items():
        if name == wanted:
            return number
    raise InvalidRequestError(f"{what} {wanted!r} is not one of {', '.join(names.values())}")


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise MalformedError("the custodian's name is not UTF-8") from None
