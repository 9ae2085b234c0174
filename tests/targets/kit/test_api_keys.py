"""The key that requests of our own carry."""

import logging

import pytest

from targets.kit.api_keys import key_to_ask_with


def test_who_asks_without_the_key_is_told_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("KEYS", raising=False)

    with caplog.at_level(logging.WARNING):
        assert key_to_ask_with("env:KEYS") is None

    assert caplog.messages == ["the keys of env:KEYS cannot be read here: requests carry none"]


def test_the_first_key_that_is_no_comment_is_asked_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KEYS", "# rotated\nfirst\nsecond")

    assert (key_to_ask_with("env:KEYS"), key_to_ask_with(None), caplog.messages) == ("first", None, [])
