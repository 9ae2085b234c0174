"""MQTT on the wire."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.rehearsal.iothub import packets
from targets.rehearsal.iothub.packets import Acknowledged, Connect, PacketInvalid, Ping, Publish, Reader, Subscribe

TOPICS = st.text(st.characters(exclude_characters="+#\0", exclude_categories=("Cs",)), min_size=1, max_size=40)


def connect(*, flags: int = 0xC0, level: int = 4) -> bytes:
    texts = [b"edge-1/m", b"host/edge-1/m/?api-version=1", b"password"]
    body = b"\0\4MQTT" + bytes((level, flags)) + struct.pack(">H", 60)
    body += b"".join(struct.pack(">H", len(text)) + text for text in texts)
    return bytes((0x10, len(body))) + body


@given(
    st.lists(st.tuples(TOPICS, st.binary(max_size=300), st.sampled_from([0, 1])), max_size=6),
    st.lists(st.integers(1, 50), min_size=1, max_size=20),
)
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    messages: list[tuple[str, bytes, int]], cuts: list[int]
) -> None:
    sent = [
        Publish(topic, payload, qos, number if qos else 0) for number, (topic, payload, qos) in enumerate(messages, 1)
    ]
    wire = b"".join(message.encoded() for message in sent)
    reader, got, at = Reader(1 << 20), list[object](), 0
    while at < len(wire):
        step = cuts[at % len(cuts)]
        got += reader.feed(wire[at : at + step])
        at += step
    assert got == sent


@given(st.binary(max_size=200))
def test_what_is_no_mqtt_is_refused_and_nothing_else(content: bytes) -> None:
    try:
        Reader(1000).feed(content)
    except PacketInvalid:
        pass


def test_a_client_says_who_it_is() -> None:
    [packet] = Reader(1000).feed(connect())
    assert packet == Connect("edge-1/m", "host/edge-1/m/?api-version=1", "password", False, 60)
    assert "password" not in repr(packet)


def test_subscriptions_and_acknowledgements_are_read() -> None:
    subscribe = bytes((0x82, 8)) + struct.pack(">HH", 7, 3) + b"a/#" + b"\1"
    assert Reader(100).feed(subscribe + Acknowledged(9).encoded() + b"\xc0\0") == [
        Subscribe(7, (("a/#", 1),)),
        Acknowledged(9),
        Ping(),
    ]


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (b"\x30\xff\xff\xff\xff", "four bytes"),
        (b"\x30\xff\x7f", "at most"),
        (b"\x34\x03\0\1a", "quality of service 2"),
        (b"\x32\x05\0\1a\0\0", "number 0"),
        (b"\x30\x03\0\1#", "wildcard"),
        (b"\x80\x02\0\1", "flags"),
        (b"\x20\x02\0\0", "not for a server"),
        (b"\xc0\x01a", "longer"),
        (b"\x10\x02\0\4", "too soon"),
    ],
)
def test_a_packet_that_breaks_the_rules_says_which(wire: bytes, words: str) -> None:
    with pytest.raises(PacketInvalid, match=words):
        Reader(1000).feed(wire)


@pytest.mark.parametrize(
    ("pattern", "topic", "matches"),
    [
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("#", "$iothub/twin", False),
        ("$iothub/methods/POST/#", "$iothub/methods/POST/x/?$rid=1", True),
        ("a", "b", False),
    ],
)
def test_filters_match_as_the_standard_says(pattern: str, topic: str, matches: bool) -> None:
    assert packets.matches(pattern, topic) is matches
