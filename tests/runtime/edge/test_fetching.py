"""Archives over HTTP from a server that cuts, stalls, refuses and lies."""

import hashlib
import random
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.contract.errors import DrayError
from runtime.edge.fetching import Patience, Stopped, fetch
from runtime.edge.wanted import Archive
from runtime.errors import ArchiveDiffers, FetchInterrupted, PackageSizeDiffers, PackageUnfetched
from tests.support.archive_server import ArchiveServer, archive_server
from tests.support.stand_in_server import certificates

BODY = random.Random(1).randbytes(300_000)


@pytest.fixture
def served() -> Iterator[ArchiveServer]:
    with archive_server() as server:
        server.files["/p.tar"] = BODY
        yield server


def fetched(served: ArchiveServer, part: Path, body: bytes = BODY, path: str = "/p.tar", **patience: Any) -> int:
    archive = Archive(f"{served.url}{path}?sig=SECRET", hashlib.sha256(body).hexdigest(), len(body))
    return fetch(archive, part, lambda: False, lambda _s: None, Patience(**patience))


def test_a_file_comes_whole(served: ArchiveServer, tmp_path: Path) -> None:
    assert fetched(served, tmp_path / "part") == len(BODY)
    assert (tmp_path / "part").read_bytes() == BODY


def test_a_cut_is_gone_on_from(served: ArchiveServer, tmp_path: Path) -> None:
    served.cut_after["/p.tar"] = [100_000, 0, 50_000]
    assert fetched(served, tmp_path / "part") == len(BODY) == served.sent_bytes
    assert served.requests["/p.tar"] == 4


def test_a_server_that_sends_no_parts_sends_all_again(served: ArchiveServer, tmp_path: Path) -> None:
    served.ranges, served.cut_after["/p.tar"] = False, [100_000]
    fetched(served, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == BODY


def test_a_beginning_of_another_file_is_thrown_away(served: ArchiveServer, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"another" * 100)
    fetched(served, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == BODY


def test_more_than_there_can_be_is_thrown_away(served: ArchiveServer, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(BODY + b"x")
    assert fetched(served, tmp_path / "part") == len(BODY)
    assert (tmp_path / "part").read_bytes() == BODY


def test_a_server_that_is_overburdened_is_asked_again(served: ArchiveServer, tmp_path: Path) -> None:
    served.statuses["/p.tar"] = [503, 429, 500, 416]
    assert fetched(served, tmp_path / "part") == len(BODY)


def test_tries_without_progress_end(served: ArchiveServer, tmp_path: Path) -> None:
    served.statuses["/p.tar"] = [503] * 9
    with pytest.raises(FetchInterrupted, match="answers 503"):
        fetched(served, tmp_path / "part")
    assert served.requests["/p.tar"] == 5


def test_a_silent_server_is_given_up(served: ArchiveServer, tmp_path: Path) -> None:
    served.stall["/p.tar"] = 1000
    with pytest.raises(FetchInterrupted, match="was cut: timeouterror") as caught:
        fetched(served, tmp_path / "part", silence_s=0.1, tries=1)
    assert "SECRET" not in str(caught.value)
    assert (tmp_path / "part").stat().st_size == 1000


def test_a_slow_server_is_given_up(served: ArchiveServer, tmp_path: Path) -> None:
    with pytest.raises(FetchInterrupted, match="comes too slowly"):
        fetched(served, tmp_path / "part", grace_s=-1.0, slowest=1e12)


def test_a_port_without_a_server_is_tried_again(tmp_path: Path) -> None:
    with archive_server() as gone:
        pass
    with pytest.raises(FetchInterrupted, match="cannot be reached: connectionrefusederror") as caught:
        fetched(gone, tmp_path / "part", tries=2)
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "kind"), [(401, PackageUnfetched), (403, PackageUnfetched), (404, PackageUnfetched)]
)
def test_a_refusal_is_not_repeated(served: ArchiveServer, tmp_path: Path, status: int, kind: type[DrayError]) -> None:
    served.statuses["/p.tar"] = [status] * 2
    with pytest.raises(kind, match=f"the server answers {status} for '{served.url}/p.tar'") as caught:
        fetched(served, tmp_path / "part")
    assert type(caught.value) is kind
    assert caught.value.hint
    assert served.requests["/p.tar"] == 1


def test_another_file_is_refused_and_leaves_nothing(served: ArchiveServer, tmp_path: Path) -> None:
    with pytest.raises(ArchiveDiffers, match="another SHA-256"):
        fetched(served, tmp_path / "part", bytes(len(BODY)))
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("more", [-1, 1])
def test_another_size_is_refused_before_a_byte_is_taken(served: ArchiveServer, tmp_path: Path, more: int) -> None:
    with pytest.raises(PackageSizeDiffers, match=f"has {len(BODY)} bytes, and {len(BODY) + more} were named"):
        fetched(served, tmp_path / "part", bytes(len(BODY) + more))
    assert not (tmp_path / "part").exists()


def test_redirects_are_followed_a_few_times(served: ArchiveServer, tmp_path: Path) -> None:
    served.redirects |= {"/old": f"{served.url}/p.tar", "/loop": "/loop"}
    assert fetched(served, tmp_path / "part", path="/old") == len(BODY)
    with pytest.raises(PackageUnfetched, match="answers 302"):
        fetched(served, tmp_path / "other", path="/loop")
    assert served.requests["/loop"] < 6


@pytest.mark.parametrize("url", ["http://models.example/p.tar", "https://me:pw@models.example/p.tar", "ftp://x/y"])
def test_redirects_lead_nowhere_else(served: ArchiveServer, tmp_path: Path, url: str) -> None:
    served.redirects["/away"] = url
    with pytest.raises(PackageUnfetched):
        fetched(served, tmp_path / "part", path="/away")


def test_who_is_not_wanted_any_more_stops(served: ArchiveServer, tmp_path: Path) -> None:
    archive = Archive(f"{served.url}/p.tar", hashlib.sha256(BODY).hexdigest(), len(BODY))
    with pytest.raises(Stopped):
        fetch(archive, tmp_path / "part", lambda: True, lambda _s: None, Patience())


def test_over_tls_a_server_that_is_known_is_trusted_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_file, certificate, key = certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with archive_server(context) as served:
        served.files["/p.tar"] = BODY
        with pytest.raises(PackageUnfetched, match=r"the certificate of 'https://127\.0\.0\.1") as caught:
            fetched(served, tmp_path / "part")
        assert "SSL_CERT_FILE" in caught.value.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        assert fetched(served, tmp_path / "part") == len(BODY)


def test_a_host_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    archive = Archive("https://x..example/p.tar?sig=SECRET", "0" * 64, 5)
    with pytest.raises(FetchInterrupted, match="cannot be reached") as caught:
        fetch(archive, tmp_path / "part", lambda: False, lambda _s: None, Patience(tries=1))
    assert "SECRET" not in caught.value.message


def test_this_machine_is_reached_without_a_proxy(
    served: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetched(served, tmp_path / "part") == len(BODY)
