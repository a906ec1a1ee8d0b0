from contextlib import suppress

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import InvalidRequestError, MalformedError
from sealwright.domain.keys import InputModel, Lifetime, Module, Operator, Protection
from sealwright.structures.asn1 import sequence_of, tlv
from sealwright.structures.protection import (
    KeyProtection,
    ModuleAssurance,
    SignatureProtection,
    key_protection_extension,
    read_key_protection,
    read_signature_protection,
    signature_protection,
)

HOSTED = Protection(operator=Operator.THIRD_PARTY, generated_by=Operator.CA, module=Module.CLOUD_HSM)
SOFTWARE = Protection(operator=Operator.SUBSCRIBER, generated_by=Operator.SUBSCRIBER, module=Module.NONE)
TOKEN = Protection(operator=Operator.SUBSCRIBER, generated_by=Operator.CA, module=Module.TOKEN)
MODEL, DIGEST = tlv(0x0A, b"\x03"), tlv(0x0A, b"\0")


def test_a_full_statement_of_a_certificate_is_read_again() -> None:
    value = key_protection_extension(
        HOSTED, "Prüf Service", verified_by=3, module=ModuleAssurance("fips-140-3", 3), control="scal2"
    )
    assert read_key_protection(value) == KeyProtection(
        "signing-service", "third-party", 3, ModuleAssurance("fips-140-3", 3), "scal2", "Prüf Service"
    )
    assert value == sequence_of(
        tlv(0x0A, b"\x03"),
        tlv(0x02, b"\x03"),
        tlv(0xA0, tlv(0x0A, b"\x01"), tlv(0x02, b"\x03")),
        tlv(0x81, b"\x02"),
        tlv(0x82, b"\x02"),
        tlv(0x83, "Prüf Service".encode()),
    )


@pytest.mark.parametrize(
    ("protection", "model", "operator"),
    [(SOFTWARE, "software", "subscriber"), (TOKEN, "subscriber-token", "subscriber")],
)
def test_what_a_certificate_does_not_state_is_none(protection: Protection, model: str, operator: str) -> None:
    assert read_key_protection(key_protection_extension(protection)) == KeyProtection(model, operator)


@pytest.mark.parametrize(
    ("protection", "arguments"),
    [
        (SOFTWARE, {"verified_by": 1}),
        (SOFTWARE, {"module": ModuleAssurance("fips-140-3", 3)}),
        (TOKEN, {"verified_by": 0}),
        (TOKEN, {"verified_by": 8}),
        (TOKEN, {"control": "scal1"}),
        (HOSTED, {"control": "scal3"}),
        (HOSTED, {"custodian": ""}),
        (HOSTED, {"custodian": "x" * 129}),
        (HOSTED, {"module": ModuleAssurance("home-made", 3)}),
        (HOSTED, {"module": ModuleAssurance("fips-140-3", 8)}),
    ],
)
def test_what_the_definition_forbids_is_refused(protection: Protection, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        key_protection_extension(protection, **arguments)  # type: ignore[arg-type] # a table of any arguments


@pytest.mark.parametrize("lifetime", Lifetime)
@pytest.mark.parametrize("model", InputModel)
@pytest.mark.parametrize("request_digest", [None, b"r" * 32])
def test_the_statement_of_a_signature_is_read_again(
    lifetime: Lifetime, model: InputModel, request_digest: bytes | None
) -> None:
    value = signature_protection(HOSTED, lifetime, model, request_digest)
    assert read_signature_protection(value) == SignatureProtection(
        "signing-service", lifetime.value, model.value, request_digest
    )
    assert len(core.Sequence.load(value, strict=True).contents) == len(value) - 2
    if request_digest:
        assert value.endswith(request_digest)


def test_a_request_that_is_no_sha256_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        signature_protection(HOSTED, Lifetime.PERSISTENT, InputModel.DIGEST, b"short")
    with pytest.raises(MalformedError):
        read_signature_protection(sequence_of(MODEL, DIGEST, DIGEST, tlv(0x80, b"short")))


def test_values_and_fields_of_a_later_version_are_unknown_but_no_error() -> None:
    later = tlv(0x0A, b"\x63")
    assert read_signature_protection(sequence_of(later, later, later, tlv(0x85, b"more"))) == SignatureProtection(
        "unknown", "unknown", "unknown"
    )
    assert read_key_protection(
        sequence_of(later, tlv(0xA0, later, tlv(0x02, b"\x01"), later), tlv(0x81, b"\x63"), tlv(0x82, b"\x63"), later)
    ) == KeyProtection("unknown", "unknown", None, ModuleAssurance("unknown", 1), "unknown")
    assert read_key_protection(sequence_of(MODEL)) == KeyProtection("signing-service", "unknown")


def test_a_custodian_that_is_not_utf8_is_malformed() -> None:
    with pytest.raises(MalformedError, match="UTF-8"):
        read_key_protection(sequence_of(MODEL, tlv(0x82, b"\0"), tlv(0x83, b"\xff")))


@given(noise=st.binary(max_size=40))
def test_noise_raises_nothing_but_our_error(noise: bytes) -> None:
    for body in (noise, sequence_of(noise), sequence_of(MODEL, noise)):
        for read in (read_key_protection, read_signature_protection):
            with suppress(MalformedError):
                read(body)
