"""Image references: what parses prints itself back, and what is no reference is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.core.errors import ImageReferenceInvalid
from packager.core.image import Descriptor, ImageRef, Platform

component = st.from_regex(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+){0,2}", fullmatch=True).filter(lambda c: len(c) < 40)
repository = st.lists(component, min_size=1, max_size=4).map("/".join)
port = st.integers(1, 65535).map(lambda n: f":{n}")
registry = st.one_of(
    st.from_regex(r"[a-z0-9]{1,12}(?:\.[a-z0-9]{1,12}){1,2}", fullmatch=True),
    st.builds(str.__add__, st.sampled_from(["localhost", "registry", "10.0.0.7", "[::1]"]), port),
)
tag = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,30}", fullmatch=True)
digest = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
references = st.builds(
    ImageRef, st.none() | registry, repository, tag=st.none() | tag, digest=st.none() | digest
)  # fmt: skip


@given(references)
def test_reference_survives_printing_and_parsing(ref: ImageRef) -> None:
    # Without a registry, a first component with a dot would be read as one.
    if ref.registry is None and "/" in ref.repository and "." in ref.repository.partition("/")[0]:
        return

    assert ImageRef.parse(str(ref)) == ref


@given(st.text(max_size=60))
def test_any_text_parses_to_itself_or_is_refused(text: str) -> None:
    try:
        ref = ImageRef.parse(text)
    except ImageReferenceInvalid:
        return

    assert str(ref) == text


@given(references, digest)
def test_pinned_reference_keeps_everything_else(ref: ImageRef, pin: str) -> None:
    pinned = ref.with_digest(pin)

    assert pinned.pinned
    assert (pinned.registry, pinned.repository, pinned.tag) == (ref.registry, ref.repository, ref.tag)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Team/Model",
        "model:",
        "model@sha256:12",
        "a//b",
        "-a/b",
        "host:port/model",
        "a" * 256,
        "model tag",
        "http://x/y",
    ],
)
def test_bad_reference_is_refused(text: str) -> None:
    with pytest.raises(ImageReferenceInvalid) as caught:
        ImageRef.parse(text)

    assert caught.value.code == "E-IMAGE-REFERENCE"
    assert repr(text) in caught.value.message
    assert caught.value.hint == "write it as registry.example/team/model:tag"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("docker.io/python:3.13", "docker.io/library/python:3.13"),
        ("index.docker.io/a/b", "docker.io/a/b:latest"),
        ("team/churn", "docker.io/team/churn:latest"),
        ("localhost:5000/churn", "localhost:5000/churn:latest"),
        ("gcr.io/distroless/python3-debian12:nonroot", "gcr.io/distroless/python3-debian12:nonroot"),
        (f"ghcr.io/a/b@sha256:{'0' * 64}", f"ghcr.io/a/b@sha256:{'0' * 64}"),
    ],
)
def test_what_a_short_name_leaves_out_is_what_docker_takes_it_for(text: str, full: str) -> None:
    assert str(ImageRef.parse(text).full) == full


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("linux/amd64", "linux/amd64"),
        ("arm64", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("X86_64", "linux/amd64"),
    ],
)
def test_a_platform_has_one_spelling(text: str, printed: str) -> None:
    assert str(Platform.parse(text)) == printed
    assert Platform.of_json(Platform.parse(text).as_json()) == Platform.parse(text)


@pytest.mark.parametrize("text", ["", "linux/", "linux/amd64/x/y", "plan 9"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(ImageReferenceInvalid, match="not a platform") as caught:
        Platform.parse(text)

    assert caught.value.hint == "write it as linux/amd64 or linux/arm64"


def test_a_descriptor_is_written_as_the_specification_has_it() -> None:
    descriptor = Descriptor("application/x", "sha256:1", 3, {"b": "2", "a": "1"}, Platform("linux", "arm64"))

    assert descriptor.as_json() == {
        "mediaType": "application/x",
        "digest": "sha256:1",
        "size": 3,
        "platform": {"architecture": "arm64", "os": "linux"},
        "annotations": {"a": "1", "b": "2"},
    }
