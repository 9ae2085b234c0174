"""The certificate of a stand-in: of an authority of its own, whose key nobody keeps, good on this machine alone."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from targets.rehearsal.layout import write_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_NAME: Final = "localhost"
_ADDRESS: Final = "127.0.0.1"
# As long as browsers and macOS take one at all; a stand-in lives for hours.
_DAYS: Final = 825
_SLACK: Final = timedelta(days=1)


def write_certificates(authority: Path, certificate: Path, key: Path, *, address: str = _ADDRESS) -> None:
    """Write what clients trust, what the server shows, and its private key (for this user alone), as PEM.

    Args:
        address: The loopback address of the server.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = serialization.Encoding.PEM
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = _root(root_key)
    own_key = ec.generate_private_key(ec.SECP256R1())
    own = _own(own_key, root, root_key, address)
    private = own_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(key, private)
    authority.write_bytes(root.public_bytes(pem))
    certificate.write_bytes(own.public_bytes(pem))


def _root(key: "EllipticCurvePrivateKey") -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = _common_name("dray rehearsal")
    return (
        _dated(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _own(
    key: "EllipticCurvePrivateKey", root: "x509.Certificate", root_key: "EllipticCurvePrivateKey", address: str
) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    names = x509.SubjectAlternativeName([x509.DNSName(_NAME), x509.IPAddress(ipaddress.ip_address(address))])
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    return (
        _dated(_common_name(_NAME), root.subject, key)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(signer, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )


def _dated(subject: "x509.Name", issuer: "x509.Name", key: "EllipticCurvePrivateKey") -> "x509.CertificateBuilder":
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + timedelta(days=_DAYS) - _SLACK)
    )


def _common_name(text: str) -> "x509.Name":
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
