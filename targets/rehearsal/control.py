"""A client of a stand-in's own calls."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from packager.core.errors import DeploymentFailed, UsageError
from targets.kit.engine.process import ProcessIdentity
from targets.rehearsal.layout import StageFacts, StageFolder

_TIMEOUT_S: Final = 10.0
_UNAUTHORIZED, _ENDS = 401, 503


class Gone(Exception):
    """The stand-in does not answer any more, or not to this token.

    Attributes:
        ends: Whether it is expected to end by itself.
    """

    def __init__(self, *, ends: bool) -> None:
        super().__init__()
        self.ends = ends


@dataclass(frozen=True, slots=True)
class Control:
    """Asks one stand-in; a connection for each call."""

    facts: StageFacts
    folder: StageFolder

    def state(self) -> Mapping[str, Any]:
        """What it is and holds.

        Raises:
            Gone: It does not answer.
        """
        return self._ask("GET", "state")

    def order(self, faults: tuple[str, ...], opener: ProcessIdentity) -> None:
        """Let these faults strike, and tell it who works with it.

        Raises:
            UsageError: It knows no such fault.
            Gone: It does not answer.
        """
        self._ask("POST", "faults", {"faults": list(faults), "opener": opener.model_dump()})

    def end(self) -> None:
        """Let it end whatever it holds.

        Raises:
            Gone: It does not answer.
        """
        self._ask("POST", "end")

    def _ask(self, method: str, call: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        import httpx

        try:
            trust = ssl.create_default_context(cafile=self.folder.ca_file)
            headers = {"Authorization": f"Bearer {self.folder.token()}"}
        except OSError as error:
            raise Gone(ends=False) from error
        with httpx.Client(verify=trust, trust_env=False, timeout=_TIMEOUT_S) as client:
            try:
                url = f"{self.facts.api}/_rehearsal/{call}"
                answer = client.request(method, url, headers=headers, json=body)
            except httpx.TransportError as error:
                raise Gone(ends=True) from error
        if answer.status_code in (_UNAUTHORIZED, _ENDS):
            raise Gone(ends=answer.status_code == _ENDS)
        document = answer.json()
        if answer.is_success:
            return dict(document)
        words = str(document.get("message", ""))
        if answer.status_code == 400:
            raise UsageError(words, hint="another version of dray began this rehearsal; destroy what it holds first")
        raise DeploymentFailed(f"the stand-in answered {answer.status_code}: {words}", hint="open a new rehearsal")
