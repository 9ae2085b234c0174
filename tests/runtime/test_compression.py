import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codec.compression import decompressor
from runtime.errors import BodyTooLarge, EncodingRefused, InvalidInput

LIMIT = 10_000


def expanded(encoding: str, body: bytes, limit: int = LIMIT) -> bytes:
    expand = decompressor(encoding, limit_bytes=limit)
    assert expand is not None
    return expand(body)


def raw_deflate(body: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(body) + engine.flush()


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity "])
def test_a_plain_body_is_left_alone(encoding: str | None) -> None:
    assert decompressor(encoding or None, limit_bytes=LIMIT) is None


@given(st.binary(max_size=2000))
def test_what_was_compressed_comes_back(body: bytes) -> None:
    assert expanded("gzip", gzip.compress(body)) == body
    assert expanded("x-GZIP", gzip.compress(body)) == body
    assert expanded("deflate", zlib.compress(body)) == body


@given(st.binary(max_size=2000))
def test_deflate_without_its_header_is_taken_too(body: bytes) -> None:
    compressed = raw_deflate(body)
    if compressed[0] & 15 != 8 or int.from_bytes(compressed[:2], "big") % 31:  # else nobody could tell the two apart
        assert expanded("deflate", compressed) == body


def test_members_of_a_gzip_file_follow_each_other() -> None:
    assert expanded("gzip", gzip.compress(b"one") + gzip.compress(b"two")) == b"onetwo"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip;q=1"])
def test_other_encodings_are_refused_by_name(encoding: str) -> None:
    with pytest.raises(EncodingRefused, match=encoding.replace(";", ".")) as caught:
        decompressor(encoding, limit_bytes=LIMIT)
    assert "gzip or deflate" in caught.value.hint


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(bytes(1 << 24))),
        ("deflate", zlib.compress(bytes(1 << 24))),
        ("gzip", gzip.compress(bytes(LIMIT)) + gzip.compress(b"x")),
    ],
    ids=["gzip", "deflate", "members"],
)
def test_a_body_that_grows_beyond_the_limit_is_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(BodyTooLarge, match=f"the limit is {LIMIT}"):
        expanded(encoding, body)


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    assert len(expanded("gzip", gzip.compress(bytes(LIMIT)))) == LIMIT


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(b"cut off")[:-3]),
        ("gzip", gzip.compress(b"one") + b"junk"),
        ("deflate", zlib.compress(b"cut off")[:-2]),
        ("deflate", zlib.compress(b"whole") + b"junk"),
        ("deflate", b""),
    ],
    ids=["no gzip", "cut-off gzip", "gzip and more", "cut-off deflate", "deflate and more", "nothing"],
)
def test_damaged_bodies_are_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(InvalidInput, match="compression"):
        expanded(encoding, body)
