"""A client of the rehearsal's own calls for messages."""

import base64
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packager.core.edge import EdgeMessage, MessageLine
from packager.core.errors import DeploymentFailed, DeploymentMissing
from targets.rehearsal.layout import StageFacts, StageFolder

_TIMEOUT_S: Final = 60.0
_WAIT_S: Final = 5.0
_TOGETHER: Final = 500
_MISSING: Final = 404


@dataclass(frozen=True, slots=True)
class StageMessages(MessageLine):
    """Messages of a stand-in's edge devices."""

    facts: StageFacts
    folder: StageFolder

    def send(self, module: str, messages: Sequence[EdgeMessage], *, device: str | None = None) -> Mapping[str, int]:
        """Let a leaf device send messages; how many went on their way, by device."""
        sent: dict[str, int] = {}
        for start in range(0, len(messages), _TOGETHER):
            given = [
                {
                    "body": base64.b64encode(each.body).decode(),
                    "properties": dict(each.properties),
                    "system": dict(each.system),
                }
                for each in messages[start : start + _TOGETHER]
            ]
            answer = self._ask("POST", "messages", body={"module": module, "device": device, "messages": given})
            for name, count in answer["sent"].items():
                sent[name] = sent.get(name, 0) + count
        return sent

    def watch(self, module: str, *, after: int, timeout_s: float) -> Iterator[EdgeMessage]:
        """What a module sent to the cloud, as it comes, until nothing came for so long."""
        quiet_since = time.monotonic()
        while (left_s := quiet_since + timeout_s - time.monotonic()) > 0:
            wait = max(1, int(min(left_s, _WAIT_S)))
            answer = self._ask("GET", "upstream", params={"after": str(after), "wait": str(wait), "most": "1000"})
            after = answer["last"]
            for found in (each for each in answer["messages"] if each["moduleId"] == module):
                quiet_since = time.monotonic()
                yield _message(found)

    def _ask(
        self, method: str, call: str, *, body: Mapping[str, Any] | None = None, params: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        import httpx

        try:
            trust = ssl.create_default_context(cafile=self.folder.ca_file)
            headers = {"Authorization": f"Bearer {self.folder.token()}"}
            with httpx.Client(verify=trust, trust_env=False, timeout=_TIMEOUT_S) as client:
                url = f"{self.facts.api}/_edge/{call}"
                answer = client.request(method, url, headers=headers, json=body, params=params)
        except (OSError, httpx.TransportError) as error:
            raise DeploymentFailed(
                f"the stand-in does not answer: {error}", hint="is it still there? dray status"
            ) from error
        document = answer.json()
        if answer.is_success:
            return dict(document)
        words = str(document.get("Message", "")).partition(";")[2]
        if answer.status_code == _MISSING:
            raise DeploymentMissing(words, hint="`dray status` lists what is deployed")
        raise DeploymentFailed(words, hint="the setting `sources` of the target says what is routed to the module")


def _message(found: Mapping[str, Any]) -> EdgeMessage:
    return EdgeMessage(
        base64.b64decode(found["body"]),
        found["properties"],
        found["system"],
        found["deviceId"],
        found["moduleId"],
        found["output"],
        found["number"],
        found["enqueuedTime"],
    )
