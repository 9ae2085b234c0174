"""The least that uvicorn can do: read the request, answer a constant."""

import os
from pathlib import Path

import uvicorn

BODY = Path(os.environ["BENCH_CONSTANT"]).read_bytes()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def app(_scope, receive, send) -> None:
    """An application of ASGI."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), access_log=False, log_level="warning", lifespan="off"
    )
