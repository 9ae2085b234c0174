"""One connection to the edge hub, by azure-iot-device 2.14: the only module that knows it, inside and out.

The client acknowledges a message as soon as it has handed it on to a thread of its own, long before anybody has seen
it, and a process that is killed then loses it. So the message is taken where the MQTT client hands it over, and the
acknowledgement is held back until whoever listens allows it. Reconnecting is not left to the client either: it knows
no jitter, gives up after some errors, and would repeat what the journal repeats. A connection that is lost is over;
the next one is another client, which asks for the trust bundle again.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import Any, Final, Protocol

from runtime.contract.errors import DrayError
from runtime.edge.journal import Arrival
from runtime.edge.messages import MOST_BYTES, Answer
from runtime.edge.withheld import Acknowledge, Withheld
from runtime.errors import EdgeFailed

logger = logging.getLogger(__name__)

# A link that is cut without a word is noticed after one and a half of it.
_KEEP_ALIVE_S: Final = 30
# The client's own limit for a connection is 60 s.
_OPEN_S: Final = 90.0
_ASK_S: Final = 30.0
_CLOSE_S: Final = 10.0
# Source: azure-iot-device 2.14, iothub/pipeline/constant.py, INPUT_MSG.
_INPUTS: Final = "input"

Sent = Callable[[Exception | None], None]
Respond = Callable[[int, object], None]


class Listener(Protocol):
    """Who is told; by threads of the client, which must not be held up."""

    def arrived(self, arrival: Arrival, acknowledge: Acknowledge) -> None:
        """A message came; the hub keeps it until it is acknowledged."""

    def asked(self, name: str, payload: object, respond: Respond) -> None:
        """A direct method was called."""

    def wanted(self, patch: Mapping[str, Any]) -> None:
        """Desired properties were changed."""

    def lost(self, *, for_good: bool) -> None:
        """The connection is gone, and what was not acknowledged will come again.

        Args:
            for_good: False where the client itself comes back with another token, as it does every hour.
        """


def installed() -> bool:
    """Whether the client is here; nothing of it is imported."""
    try:
        return find_spec("azure.iot.device") is not None
    except ModuleNotFoundError:
        return False


class Connection:
    """An open connection; made by ``connect``.

    Attributes:
        taking: Whether messages are asked for; None while nothing was said.
    """

    def __init__(self, client: Any, listener: Listener) -> None:
        self._client = client
        self._listener = listener
        self._pipeline = client._mqtt_pipeline
        self._over = threading.Event()
        self.taking: bool | None = None
        self._mqtt = _mqtt_client(self._pipeline)
        Withheld(self._mqtt, self._arrived, self._dropped)

    @property
    def alive(self) -> bool:
        """Whether the hub is there, as far as is known."""
        return bool(self._client.connected) and not self._over.is_set()

    async def begin(self) -> Mapping[str, Any]:
        """Connect, and be told of methods and of changes; the desired properties."""
        await self._client.connect()
        await asyncio.to_thread(self._listen)
        twin = await asyncio.wait_for(self._client.get_twin(), _ASK_S)
        return dict(twin.get("desired") or {})

    async def report(self, patch: Mapping[str, Any]) -> None:
        """Change reported properties; None takes one away."""
        await asyncio.wait_for(self._client.patch_twin_reported_properties(dict(patch)), _ASK_S)

    async def take_inputs(self, on: bool) -> None:
        """Ask for messages, or for no more. The hub remembers it when the connection is lost, so it is always said."""
        change = self._pipeline.enable_feature if on else self._pipeline.disable_feature
        await asyncio.wait_for(_completed(change, _INPUTS), _ASK_S)
        self.taking = on

    def send(self, answer: Answer, sent: Sent) -> None:
        """Put an answer on its output; in the order of the calls. Blocks shortly.

        Args:
            sent: Called once, when the hub has it or will not get it; perhaps before this returns.
        """
        from azure.iot import device

        make: Callable[..., Any] = device.Message
        message = make(answer.body, message_id=answer.message_id, content_encoding="utf-8")
        message.content_type = "application/json"
        message.correlation_id = answer.correlation_id
        message.custom_properties = dict(answer.properties)
        message.output_name = answer.output
        try:
            self._pipeline.send_output_message(message, callback=lambda error=None: sent(error))
        except Exception as error:  # noqa: BLE001 - a closed pipeline, or whatever the client meets in itself
            sent(error)

    async def close(self) -> None:
        """End it, and all threads of it."""
        self._over.set()
        # The client's own shutdown stops half-way where the connection is gone, and its threads stay.
        steps: list[Callable[[], Awaitable[object]]] = [
            lambda: _completed(self._pipeline.shutdown),
            lambda: asyncio.to_thread(self._client._handler_manager.stop),
            # Else its sockets stay until the garbage is collected, which may be never.
            lambda: asyncio.to_thread(self._mqtt._reset_sockets),
        ]
        if self._client.connected:
            steps.insert(0, self._client.disconnect)
        for step in steps:
            try:
                await asyncio.wait_for(step(), _CLOSE_S)
            except Exception as error:  # noqa: BLE001 - it is given up in any case
                logger.debug("a connection did not close: %s", type(error).__name__)

    def _listen(self) -> None:
        self._client.on_method_request_received = self._asked
        self._client.on_twin_desired_properties_patch_received = self._listener.wanted

    def _asked(self, request: Any) -> None:
        def respond(status: int, payload: object) -> None:
            from azure.iot import device

            make: Callable[..., Any] = device.MethodResponse.create_from_method_request
            response = make(request, status, payload)
            try:
                self._pipeline.send_method_response(response, callback=_unheard)
            except Exception as error:  # noqa: BLE001 - the caller has its own time limit
                logger.warning("a direct method's answer could not be sent: %s", type(error).__name__)

        self._listener.asked(request.name, request.payload, respond)

    def _arrived(self, topic: str, payload: bytes, repeated: bool, acknowledge: Acknowledge) -> bool:
        if "/inputs/" not in topic:
            return False
        kept = payload if len(payload) <= MOST_BYTES else b""
        self._listener.arrived(Arrival(topic, kept, len(payload), repeated), acknowledge)
        return True

    def _dropped(self, reason: int) -> None:
        if not self._over.is_set():
            self._listener.lost(for_good=reason != 0)  # 0: the client had asked for it


async def connect(listener: Listener) -> tuple[Connection, Mapping[str, Any]]:
    """A connection of the module that the environment names, and its desired properties.

    Raises:
        EdgeFailed: Why not.
    """
    connection: Connection | None = None
    try:
        async with asyncio.timeout(_OPEN_S):
            connection = Connection(await asyncio.to_thread(_client), listener)
            return connection, await connection.begin()
    except Exception as error:
        if connection is not None:
            await connection.close()
        if isinstance(error, DrayError):
            raise
        raise EdgeFailed(
            f"no connection to the edge hub: {_reasons(error)}",
            hint="it is tried again; look at the edge runtime on the device: iotedge check, iotedge logs edgeHub",
        ) from error


def _client() -> Any:
    from azure.iot.device.aio import IoTHubModuleClient

    # auto_connect would connect behind our back, connection_retry without jitter.
    return IoTHubModuleClient.create_from_edge_environment(
        auto_connect=False, connection_retry=False, keep_alive=_KEEP_ALIVE_S, product_info="dray"
    )


def _mqtt_client(pipeline: Any) -> Any:
    """The MQTT client at the end of the pipeline's stages."""
    stage = pipeline._pipeline
    while stage is not None:
        transport = getattr(stage, "transport", None)
        client = getattr(transport, "_mqtt_client", None)
        if client is not None:
            return client
        stage = stage.next
    raise EdgeFailed("azure-iot-device has no MQTT client where 2.14 has it", hint="install azure-iot-device 2.14")


def _unheard(error: Exception | None = None) -> None:
    if error is not None:
        logger.warning("a direct method's answer was lost: %s", type(error).__name__)


async def _completed(begin: Callable[..., None], *args: object) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    await asyncio.to_thread(begin, *args, callback=lambda error=None: loop.call_soon_threadsafe(settle, error))
    await done


def _reasons(error: BaseException) -> str:
    """What went wrong, down to its cause, in one line."""
    said: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(said) < 4:
        said.append(" ".join(f"{type(cause).__name__} {cause}".split()))
        cause = cause.__cause__
    return " < ".join(said)
