from pathlib import Path
from typing import Any

import pytest

from runtime.edge.wanted import Archive, WantedPackage, may_fetch, read_wanted, shown

DIGEST = "sha256:" + "1" * 64
RAW = {"url": "https://x.example/p.tar?sig=SECRET", "sha256": "0" * 64, "size_bytes": 5.0, "digest": DIGEST}


def test_a_package_is_an_archive_or_a_folder() -> None:
    wanted = read_wanted({**RAW, "allow_older": True})
    assert wanted == WantedPackage(Archive(RAW["url"], "0" * 64, 5), DIGEST, allow_older=True)  # type: ignore[arg-type]
    assert read_wanted({"path": "/models/a", "digest": DIGEST}) == WantedPackage(Path("/models/a"), DIGEST)


def test_a_url_is_shown_without_its_secrets() -> None:
    wanted = read_wanted(RAW)
    assert isinstance(wanted.source, Archive)
    assert wanted.source.shown == "https://x.example/p.tar"
    assert "SECRET" not in repr(wanted)
    assert shown("https://me:pw@x.example/p#f") == "https://x.example/p"


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://x"},
        {"url": "http://x.example/p.tar"},
        {"url": "https://me:SECRET@x.example/p.tar"},
        {"url": "https://x.example:99999/"},
        {"url": "https://[x/"},
        {"url": "https://x.example/a b"},
        {"url": 5},
        {"sha256": "0" * 63},
        {"size_bytes": 0},
        {"size_bytes": True},
        {"size_bytes": 1.5},
        {"size_bytes": float("inf")},
        {"digest": "1" * 64},
        {"allow_older": 1},
        {"path": "/x"},
        {"strange": 1},
    ],
)
def test_what_is_wrong_is_named_and_the_secret_is_not(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        read_wanted({**RAW, **changes})
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "x", [], {"path": "x", "digest": DIGEST}, {"path": "/x"}])
def test_what_is_no_package_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_wanted(value)


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("http://127.0.0.1:8000/p", True),
        ("http://[::1]/p", True),
        ("http://localhost/p", True),
        ("http://127.0.0.1.x.example/p", False),
        ("https://x.example/p", True),
        ("https:///p", False),
    ],
)
def test_plain_http_is_for_this_machine_only(url: str, fits: bool) -> None:
    assert may_fetch(url) is fits
