"""Whether a certificate and its key are such that the runtime can serve with them."""

from datetime import UTC, datetime


def fault_of(certificate: str, key: str) -> str:
    """What is wrong with the two; empty where nothing is. Neither is ever part of it.

    Args:
        certificate: PEM; the server's own first, as the runtime shows them.
        key: PEM.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        own = x509.load_pem_x509_certificates(certificate.encode())[0]
    except ValueError:
        return "tls_cert is no certificate in PEM"
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return "tls_key is locked with a password, which the runtime would not have"
    except (ValueError, UnsupportedAlgorithm):
        return "tls_key is no private key in PEM"
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if own.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        return "tls_key is the key of another certificate than tls_cert"
    if own.not_valid_after_utc < datetime.now(UTC):
        return f"tls_cert was valid until {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return ""
