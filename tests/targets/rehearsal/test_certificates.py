import socket
import ssl
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from targets.rehearsal.certificates import write_certificates

STRICT = ssl.VERIFY_X509_STRICT


def shaken(folder: Path, name: str, trust: ssl.SSLContext) -> str | None:
    """Which TLS a client of this trust and a server with the written certificate agree on."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with ours, suppress(OSError):
            server.wrap_socket(ours, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with trust.wrap_socket(theirs, server_hostname=name) as client:
            return client.version()
    finally:
        theirs.close()
        thread.join(10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificates(tmp_path / "ca.pem", tmp_path / "server.pem", tmp_path / "server.key")
    return tmp_path


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_who_trusts_the_authority_trusts_the_stand_in_even_strictly(folder: Path, name: str) -> None:
    trust = ssl.create_default_context(cafile=folder / "ca.pem")
    trust.verify_flags |= STRICT
    assert shaken(folder, name, trust) == "TLSv1.3"


def test_nobody_else_trusts_it(folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(folder, "127.0.0.1", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def test_the_key_is_this_users_alone_and_signs_nothing_else(folder: Path) -> None:
    assert stat.S_IMODE((folder / "server.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "server.key", "server.pem"]
