import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError
from sealwright.verification.trust import read_certificates, read_crls, trust_store
from tests.unit.verification import workshop as w
from tests.unit.verification.workshop import Workshop


@pytest.fixture(scope="module")
def shop() -> Workshop:
    return Workshop()


def test_one_file_may_hold_roots_and_what_is_below_them(shop: Workshop) -> None:
    pem = b"a comment\n" + w.pem(shop.root.certificate, shop.ca.certificate, shop.root.certificate)
    store = trust_store(read_certificates(pem))
    assert store.roots == (shop.root.certificate,)
    assert store.intermediates == (shop.ca.certificate,)


def test_a_single_certificate_may_come_in_der(shop: Workshop) -> None:
    assert read_certificates(shop.root.certificate.public_bytes(Encoding.DER)) == [shop.root.certificate]


def test_lists_may_come_in_pem_and_der(shop: Workshop) -> None:
    one, two = w.crl(shop.ca), w.crl(shop.root)
    pem = one.public_bytes(Encoding.PEM) + two.public_bytes(Encoding.PEM)
    assert read_crls(pem) == [one, two]
    assert read_crls(two.public_bytes(Encoding.DER)) == [two]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing of the kind",
        b"\x30\x03\x02\x01\x01",
        b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----",
        b"-----BEGIN X509 CRL-----\nAAA\n-----END X509 CRL-----",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
    ],
)
def test_what_holds_no_certificate_or_list_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_certificates(data)
    with pytest.raises(MalformedError):
        read_crls(data)


def test_a_list_with_an_extension_twice_is_malformed(shop: Workshop) -> None:
    extensions = tuple(
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{number}"), b"\5\0"), False) for number in (4, 5)
    )
    der = w.crl(shop.ca, extensions=extensions).public_bytes(Encoding.DER)
    with pytest.raises(MalformedError):
        read_crls(der.replace(b"\x06\x03\x2a\x03\x05", b"\x06\x03\x2a\x03\x04"))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    for read in (read_certificates, read_crls):
        try:
            read(data)
        except MalformedError:
            continue
