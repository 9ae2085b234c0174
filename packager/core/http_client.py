"""A way to a running model over HTTP: the Open Inference Protocol v2 in its JSON form."""

import ipaddress
import json
import ssl
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, Field, ValidationError

from packager.core.errors import CredentialsUnusable, InvocationError, NotReady, UsageError
from packager.core.protocols import InferenceClient
from runtime.contract.wire import ErrorBody, InferenceRequest, InferenceResponse, ModelMetadata

if TYPE_CHECKING:
    import httpx

_Answer = TypeVar("_Answer", bound=BaseModel)
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_END_OF_CERTIFICATE = "-----END CERTIFICATE-----"


class ServerState(BaseModel):
    """What the runtime says of itself at ``/readyz``.

    Attributes:
        addresses: ``host:port`` of every socket it listens on.
        error_code, message: Why it failed, when ``state`` is ``failed``, which is final.
    """

    state: str
    models: list[dict[str, Any]] = Field(default_factory=list)
    addresses: list[str] = Field(default_factory=list)
    error_code: str | None = None
    message: str | None = None
    hint: str = ""
    detail: dict[str, Any] = Field(default_factory=dict)


class HttpInferenceClient(InferenceClient):
    """A client of one endpoint; close it, or use it as a context manager.

    Proxies of the environment are used, except for this machine itself.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        certificate: str | None = None,
        connect_timeout_s: float = 5.0,
        timeout_s: float = 10.0,
    ) -> None:
        """Connects on first use.

        Args:
            base_url: ``http(s)://host[:port]``, with or without a final slash.
            token: Sent as ``Authorization: Bearer``.
            certificate: PEM whose first certificate the server must show, whatever names are in it; None for one that
                this machine's authorities vouch for.
            timeout_s: For readiness and metadata; ``infer`` brings its own.

        Raises:
            UsageError: Not an HTTP URL.
            CredentialsUnusable: ``certificate`` is none.
        """
        import httpx  # kept out of start-up

        self.base_url = _checked(base_url)
        self._connect_timeout_s = connect_timeout_s
        self._http = httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            timeout=httpx.Timeout(timeout_s, connect=connect_timeout_s),
            trust_env=not is_loopback(self.base_url),
            verify=_verification(self.base_url, certificate),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ready(self) -> bool:
        """Whether the endpoint is ready; False while it cannot be reached yet.

        Raises:
            NotReady: The runtime says that it never will be, and why.
            InvocationError: The endpoint refuses the token.
        """
        state = self.state()
        if state is not None and state.state == "failed":
            raise NotReady(
                f"the runtime will not become ready: {state.message or 'it does not say why'}",
                hint=state.hint or "its log says more",
                detail={"error_code": state.error_code, "detail": state.detail, "models": state.models},
            )
        return state is not None and state.state == "ready"

    def state(self) -> ServerState | None:
        """What the endpoint says of itself; None while it cannot be reached or says nothing that can be read.

        Raises:
            InvocationError: The endpoint refuses the token.
        """
        import httpx

        try:
            answer = self._http.get("/readyz")
            if answer.status_code == _NOT_FOUND:  # another server of the protocol
                answer = self._http.get("/v2/health/ready")
                return ServerState(state="ready" if answer.status_code == _OK else "starting")
        except httpx.RequestError:
            return None
        if answer.status_code in (_UNAUTHORIZED, _FORBIDDEN):
            raise refusal(answer)
        try:
            return ServerState.model_validate_json(answer.content)
        except ValidationError:
            return ServerState(state="ready" if answer.status_code == _OK else "starting")

    def metadata(self, model: str) -> ModelMetadata:
        """Metadata of the model.

        Raises:
            InvocationError: With the server's own words.
        """
        return self._ask("GET", f"/v2/models/{quote(model, safe='')}", ModelMetadata)

    def infer(self, model: str, request: InferenceRequest, *, timeout_s: float) -> InferenceResponse:
        """The answer to one request.

        Raises:
            InvocationError: With the server's own words; ``detail`` holds ``status``, ``error_code`` and ``detail``.
        """
        # By json, not by pydantic, which writes infinity as null: the numbers must arrive as they are.
        body = json.dumps(request.model_dump(exclude_none=True), ensure_ascii=False).encode()
        path = f"/v2/models/{quote(model, safe='')}/infer"
        return self._ask("POST", path, InferenceResponse, body=body, timeout_s=timeout_s)

    def _ask(
        self, method: str, path: str, form: type[_Answer], *, body: bytes | None = None, timeout_s: float | None = None
    ) -> _Answer:
        import httpx

        timeout = httpx.Timeout(timeout_s, connect=self._connect_timeout_s) if timeout_s else self._http.timeout
        headers = {"Content-Type": "application/json"} if body is not None else None
        url = f"{self.base_url}{path}"
        try:
            answer = self._http.request(method, path, content=body, headers=headers, timeout=timeout)
        except httpx.TimeoutException as error:
            raise InvocationError(
                f"no answer from {url} within {timeout.read:g} s", hint="raise --timeout, or look at `dray logs`"
            ) from error
        except httpx.RequestError as error:
            raise InvocationError(
                f"{url} cannot be reached: {str(error).lower() or type(error).__name__}",
                hint="`dray status` shows what runs and where",
            ) from error
        if answer.status_code != _OK:
            raise refusal(answer)
        try:
            return form.model_validate_json(answer.content)
        except ValidationError as error:
            raise InvocationError(
                f"{url} did not answer in the Open Inference Protocol: {_beginning(answer)}",
                hint="is this the endpoint of a model?",
                detail={"status": answer.status_code},
            ) from error


def refusal(answer: "httpx.Response") -> InvocationError:
    """The error for an answer that is not 200, in the server's own words."""
    status = answer.status_code
    try:
        body = ErrorBody.model_validate_json(answer.content)
    except ValidationError:
        return InvocationError(
            f"{answer.url} answered {status}: {_beginning(answer)}",
            hint=_status_hint(status),
            detail={"status": status},
        )
    return InvocationError(
        f"{answer.url} answered {status} ({body.error_code}): {body.message}",
        hint=_status_hint(status),
        detail={"status": status, **body.model_dump(include={"error_code", "message", "detail", "request_id"})},
    )


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine itself, to which no proxy can lead."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise UsageError(f"not the URL of an endpoint: {url!r}", hint="write it as http://host:port")
    return url.rstrip("/")


def _verification(url: str, certificate: str | None) -> bool | ssl.SSLContext:
    """For plain HTTP a context that trusts nobody: reading the certificate store would cost more than the request."""
    if urlsplit(url).scheme != "https":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return True if certificate is None else _only(certificate)


def _only(certificate: str) -> ssl.SSLContext:
    """A context that takes one certificate, which need be of no authority and for no name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # What follows the first one are its authorities: they vouch for others' certificates too.
    first, end, _ = certificate.partition(_END_OF_CERTIFICATE)
    try:
        context.load_verify_locations(cadata=f"{first}{end}\n")
    except (ssl.SSLError, ValueError) as error:
        raise CredentialsUnusable(
            "this is no certificate in PEM", hint="give the file with the server's own"
        ) from error
    return context


def _status_hint(status: int) -> str:
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        return "the endpoint wants an API key, or another one"
    if status == _NOT_FOUND:
        return "no such model there; `GET /v2/models/NAME` takes the package's name"
    return "look at `dray logs`" if status >= 500 else "compare the request with the model's signature (`dray inspect`)"


def _beginning(answer: "httpx.Response", limit: int = 200) -> str:
    text = " ".join(answer.text.split())
    return repr(text[:limit] + ("…" if len(text) > limit else ""))
