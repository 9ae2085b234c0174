"""How often a request to Azure is made again. Import this module only where Azure is spoken to: it loads the SDK."""

from typing import Any, Final

from azure.core.pipeline.policies import RetryPolicy

# Requests of ours may all be made twice: PUT, PATCH of tags, DELETE and GET.
_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})
_TRIES: Final = 5
_LONGEST_WAIT_S: Final = 60.0
_WHOLE_S: Final = 300
_BUSY: Final = 409


class PatientRetry(RetryPolicy[Any, Any]):
    """Waits as long as the server asks for, up to a minute; longer waits end as its refusal.

    Args:
        posts: Whether a POST may be made twice, as one that only reads.
    """

    def __init__(self, *, longest_wait_s: float = _LONGEST_WAIT_S, backoff_s: float = 0.8, posts: bool = False) -> None:
        super().__init__(
            retry_total=2 * _TRIES,
            retry_connect=2,
            retry_read=_TRIES,
            retry_status=_TRIES,
            retry_backoff_factor=backoff_s,
            retry_backoff_max=15,
            timeout=_WHOLE_S,
        )
        self._method_whitelist = _METHODS | {"POST"} if posts else _METHODS
        self._longest_wait_s = longest_wait_s

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        """Whether to ask again: not where a resource is busy, which is another's to wait for."""
        if response.http_response.status_code == _BUSY:
            return False
        if (self.get_retry_after(response) or 0.0) > self._longest_wait_s:
            return False
        return bool(super().is_retry(settings, response))
