"""Connection strings of hubs, and the tokens that are made from them."""

import base64
import hashlib
import hmac
from pathlib import Path
from urllib.parse import quote_plus, unquote

import pytest

from packager.core.errors import ConfigurationError, NotSignedIn
from targets.kit.iothub.access import connection_access, hub_access, hub_configured
from tests.support.scripted_hub import CONNECTION_STRING, HOST, KEY


def test_token_is_signed_as_the_hub_verifies_it() -> None:
    access = connection_access(CONNECTION_STRING)

    kind, _, rest = access.token().partition(" ")
    fields = dict(pair.split("=", 1) for pair in rest.split("&"))

    signed = f"{quote_plus(HOST)}\n{fields['se']}".encode()
    right = base64.b64encode(hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()).decode()
    assert kind == "SharedAccessSignature"
    assert (unquote(fields["sig"]), fields["sr"], fields["skn"]) == (right, HOST, "iothubowner")
    assert 1700 < int(fields["se"]) - access.clock() <= 3600


def test_key_is_never_shown() -> None:
    assert KEY not in repr(connection_access(CONNECTION_STRING))
    with pytest.raises(ConfigurationError) as caught:
        connection_access(f"HostName=bad host;SharedAccessKeyName=p;SharedAccessKey={KEY}")
    assert KEY not in str(caught.value.as_dict())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("HostName=h;DeviceId=d;SharedAccessKey=a2V5", "a device"),
        ("HostName=h;SharedAccessKeyName=p", "no SharedAccessKey"),
        ("SharedAccessKeyName=p;SharedAccessKey=a2V5", "no HostName"),
        ("HostName=hub;SharedAccessKeyName=p;SharedAccessKey=?", "not base64"),
        ("Endpoint=sb://x", "no HostName"),
    ],
)
def test_string_that_is_none_of_a_policy_is_refused_and_says_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        hub_access({"IOTHUB_CONNECTION_STRING": text})

    assert "az iot hub connection-string show" in caught.value.hint


def test_nobody_is_signed_in_without_a_connection_string() -> None:
    with pytest.raises(NotSignedIn) as caught:
        hub_access({})

    assert caught.value.code == "E-AUTH"
    assert "--rehearse" in caught.value.hint
    assert not hub_configured({})


def test_stand_in_is_asked_in_place_of_the_hub(tmp_path: Path) -> None:
    access = connection_access(CONNECTION_STRING, base_url="https://127.0.0.1:1/", ca_file=tmp_path / "ca")

    assert (access.base_url, access.host) == ("https://127.0.0.1:1", HOST)
    assert connection_access(CONNECTION_STRING).base_url == f"https://{HOST}"
