"""Digests, key algorithms and the derived key-protection model."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import DigestLengthError, WeakDigestError
from sealwright.domain.keys import (
    DigestAlgorithm,
    KeyAlgorithm,
    Module,
    Operator,
    Protection,
    ProtectionModel,
    is_name,
)


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
def test_a_digest_has_the_length_that_its_algorithm_produces(algorithm: DigestAlgorithm) -> None:
    digest = hashlib.new(algorithm.value, b"program").digest()
    assert algorithm.size == len(digest)
    assert algorithm.check(digest) == digest


@given(algorithm=st.sampled_from(DigestAlgorithm), digest=st.binary(max_size=80))
def test_a_digest_of_another_length_is_refused(algorithm: DigestAlgorithm, digest: bytes) -> None:
    if len(digest) == algorithm.size:
        assert algorithm.check(digest) == digest
    else:
        with pytest.raises(DigestLengthError, match=str(algorithm.size)):
            algorithm.check(digest)


@pytest.mark.parametrize(("name", "algorithm"), [("sha256", "SHA256"), ("SHA-384", "SHA384"), ("Sha512", "SHA512")])
def test_a_digest_algorithm_is_found_by_its_common_names(name: str, algorithm: str) -> None:
    assert DigestAlgorithm.named(name) is DigestAlgorithm[algorithm]


@pytest.mark.parametrize("name", ["", "sha1", "SHA-1", "md5", "sha224", "sha3-256", "sha256 "])
def test_any_other_digest_algorithm_is_refused_with_a_hint(name: str) -> None:
    with pytest.raises(WeakDigestError) as caught:
        DigestAlgorithm.named(name)
    assert "sha256" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "digest"),
    [("RSA_3072", "SHA256"), ("RSA_4096", "SHA256"), ("P256", "SHA256"), ("P384", "SHA384"), ("P521", "SHA512")],
)
def test_a_key_has_a_digest_of_matching_strength(key: str, digest: str) -> None:
    assert KeyAlgorithm[key].digest is DigestAlgorithm[digest]


def test_rsa_is_told_from_elliptic_curves() -> None:
    assert {key for key in KeyAlgorithm if key.is_rsa} == {KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096}


OWN_MODULE = {
    Module.TOKEN: "subscriber-token",
    Module.HSM: "subscriber-hsm",
    Module.CLOUD_HSM: "cloud-key-service",
}


@pytest.mark.parametrize("generated_by", Operator)
@pytest.mark.parametrize("module", OWN_MODULE)
def test_a_subscribers_own_module_gives_the_model_its_name(generated_by: Operator, module: Module) -> None:
    assert Protection(Operator.SUBSCRIBER, generated_by, module).model.label == OWN_MODULE[module]


@pytest.mark.parametrize("operator", [Operator.CA, Operator.THIRD_PARTY])
@pytest.mark.parametrize("generated_by", Operator)
@pytest.mark.parametrize("module", OWN_MODULE)
def test_a_module_run_for_others_is_a_signing_service_whatever_is_behind_it(
    operator: Operator, generated_by: Operator, module: Module
) -> None:
    assert Protection(operator, generated_by, module).model is ProtectionModel.SIGNING_SERVICE


@pytest.mark.parametrize("operator", Operator)
@pytest.mark.parametrize("generated_by", Operator)
def test_a_key_without_a_module_is_software_whoever_runs_it(operator: Operator, generated_by: Operator) -> None:
    assert Protection(operator, generated_by, Module.NONE).model is ProtectionModel.SOFTWARE


def test_the_numbers_that_stand_in_certificates_never_change() -> None:
    assert {model.label: int(model) for model in ProtectionModel} == {
        "subscriber-token": 0,
        "subscriber-hsm": 1,
        "cloud-key-service": 2,
        "signing-service": 3,
        "software": 4,
    }
    assert {operator.name: int(operator) for operator in Operator} == {"SUBSCRIBER": 0, "CA": 1, "THIRD_PARTY": 2}


@pytest.mark.parametrize("text", ["a", "7", "release-2026", "acme.example_win", "a" * 64])
def test_a_plain_text_can_be_a_name(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", ".", "A", "a b", "a/b", "a\n", "\u00e4", "\u0663", "a" * 65, "../a"])
def test_a_text_that_could_be_misread_is_no_name(text: str) -> None:
    assert not is_name(text)


@given(text=st.text(max_size=70))
def test_a_name_is_always_safe_in_a_path_and_an_address(text: str) -> None:
    if is_name(text):
        assert re.fullmatch(r"[a-z0-9._-]{1,64}", text)
        assert text not in {".", ".."}
