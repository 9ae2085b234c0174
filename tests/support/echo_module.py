"""A module on the real SDK: what comes on an input goes out, direct methods and desired properties are answered.

It acknowledges as the SDK does: when the callback of a message returns. The answers go out in order.
"""

import asyncio
import os
import signal
import sys

from azure.iot.device import Message, MethodResponse
from azure.iot.device.aio import IoTHubModuleClient


async def main() -> None:
    client = IoTHubModuleClient.create_from_edge_environment(connection_retry_interval=1)
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)

    async def answer_message(message: Message) -> None:
        properties = dict(message.custom_properties)
        if properties.pop("poison", None):
            os._exit(9)
        answer = Message(message.data, content_type="application/json")
        answer.correlation_id = message.correlation_id or message.message_id
        answer.message_id = f"{message.message_id}-answer"
        answer.custom_properties = {**properties, "input": message.input_name, "release": os.environ.get("RELEASE", "")}
        await client.send_message_to_output(answer, "echo")

    async def answer_method(request: object) -> None:
        if request.name == "silence":  # type: ignore[attr-defined]
            return
        payload = {"method": request.name, "payload": request.payload}  # type: ignore[attr-defined]
        await client.send_method_response(MethodResponse.create_from_method_request(request, 200, payload))

    async def take_patch(patch: dict[str, object]) -> None:
        await client.patch_twin_reported_properties(
            {"seen": {"version": patch["$version"], "colour": patch.get("colour")}}
        )

    # Before it is connected: a hub that knows the module's subscriptions from before sends at once.
    client.on_message_received = answer_message
    await client.connect()
    client.on_method_request_received = answer_method
    client.on_twin_desired_properties_patch_received = take_patch
    twin = await client.get_twin()
    await client.patch_twin_reported_properties({"began": twin["desired"]["$version"], "pid": os.getpid()})
    sys.stdout.write('{"connected": true}\n')
    sys.stdout.flush()
    await done.wait()
    await client.shutdown()


asyncio.run(main())
sys.exit(0)
