"""Object identifiers that more than one room uses, as dotted text; each with the document that defines it."""

from typing import Final

# The project's own arc: a UUID under 2.25 (ITU-T X.667), so that nobody had to be asked.
ID_SW: Final = "2.25.276021956986615737321850040293186313475"
KEY_PROTECTION: Final = f"{ID_SW}.1"  # certificate extension: what the CA states of the key
PROTECTION_POLICY: Final = f"{ID_SW}.2"  # certificate policies .2.n, n = the model's number
SIGNATURE_PROTECTION: Final = f"{ID_SW}.3"  # CMS signed attribute: what the service states of one signature
TSA_POLICY_PROVEN_CLOCK: Final = f"{ID_SW}.5.1"
TSA_POLICY_UNPROVEN_CLOCK: Final = f"{ID_SW}.5.2"

# CA/Browser Forum, reserved (CSBR 7.1.6.1).
CABF_CODE_SIGNING: Final = "2.23.140.1.4.1"
CABF_EV_CODE_SIGNING: Final = "2.23.140.1.3"
CABF_TIMESTAMP: Final = "2.23.140.1.4.2"

# PKCS #7 / CMS (RFC 5652).
SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
SIGNING_CERTIFICATE_V2: Final = "1.2.840.113549.1.9.16.2.47"  # RFC 5035

# Time-Stamp Protocol (RFC 3161).
TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"

# Authenticode (Microsoft, "Windows Authenticode Portable Executable Signature Format").
SPC_INDIRECT_DATA: Final = "1.3.6.1.4.1.311.2.1.4"
SPC_SP_OPUS_INFO: Final = "1.3.6.1.4.1.311.2.1.12"
SPC_STATEMENT_TYPE: Final = "1.3.6.1.4.1.311.2.1.11"
SPC_INDIVIDUAL: Final = "1.3.6.1.4.1.311.2.1.21"
SPC_PE_IMAGE_DATA: Final = "1.3.6.1.4.1.311.2.1.15"
SPC_NESTED_SIGNATURE: Final = "1.3.6.1.4.1.311.2.4.1"
SPC_RFC3161_TIMESTAMP: Final = "1.3.6.1.4.1.311.3.3.1"

# Extended key usages.
EKU_CODE_SIGNING: Final = "1.3.6.1.5.5.7.3.3"
EKU_TIMESTAMPING: Final = "1.3.6.1.5.5.7.3.8"
EKU_LIFETIME_SIGNING: Final = "1.3.6.1.4.1.311.10.3.13"

# Algorithms.
SHA256: Final = "2.16.840.1.101.3.4.2.1"
SHA384: Final = "2.16.840.1.101.3.4.2.2"
SHA512: Final = "2.16.840.1.101.3.4.2.3"
RSA_ENCRYPTION: Final = "1.2.840.113549.1.1.1"
ECDSA_WITH_SHA256: Final = "1.2.840.10045.4.3.2"
ECDSA_WITH_SHA384: Final = "1.2.840.10045.4.3.3"
ECDSA_WITH_SHA512: Final = "1.2.840.10045.4.3.4"
