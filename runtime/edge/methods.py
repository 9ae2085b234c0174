"""Direct methods: the module answers its operator, whether or not it takes messages.

Source: Azure IoT Hub, "Understand and invoke direct methods": a payload of up to 128 KB each way.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson

from runtime.app import status_of, unforeseen
from runtime.contract.errors import DrayError
from runtime.edge.answering import Answerer
from runtime.edge.journal import Arrival, Entry
from runtime.edge.messages import ERRORS, INPUT
from runtime.errors import InvalidInput, MessageTooLarge, RouteMissing
from runtime.routes.answers import error_body
from runtime.routes.oip import describe_model
from runtime.routes.serving import Serving

logger = logging.getLogger(__name__)

_MOST_BYTES: Final = 128 << 10
# The hub waits 30 s for a method unless told otherwise.
_RELOAD_S: Final = 20.0
_DETAIL: Final = 2000

Result = tuple[int, Any]
Method = Callable[[Any], Awaitable[Result]]


class Methods:
    """The direct methods of a module.

    Args:
        answerer: None until the journal is open.
        report: What the reported properties say, as they stand.
        retry: Tries once more to serve the package that the twin asks for; raises why not.
    """

    def __init__(
        self,
        serving: Serving,
        answerer: Answerer,
        report: Callable[[], Mapping[str, Any]],
        retry: Callable[[], Awaitable[None]],
    ) -> None:
        self._serving = serving
        self._answerer = answerer
        self._report = report
        self._retry = retry
        self._reload: asyncio.Task[None] | None = None
        self._methods: Mapping[str, Method] = {
            "health": self._health,
            "predict": self._predict,
            "selftest": self._selftest,
            "reload": self._reload_models,
        }

    async def call(self, name: str, payload: object) -> Result:
        """Status, as over HTTP, and payload; an error is the error object."""
        try:
            method = self._methods.get(name)
            if method is None:
                raise RouteMissing(
                    f"there is no direct method {name!r}", hint=f"there are {', '.join(sorted(self._methods))}"
                )
            status, answer = await method(payload)
            size = len(orjson.dumps(answer))
            if size > _MOST_BYTES:
                raise MessageTooLarge(
                    f"the answer has {size} bytes, a direct method's has at most {_MOST_BYTES}",
                    hint="ask for fewer rows, or send a message to the input",
                )
        except DrayError as error:
            return status_of(error), error_body(error, None)
        except Exception as error:
            logger.error("unforeseen failure", exc_info=error, extra={"fields": {"method": name}})  # noqa: TRY400
            return 500, error_body(unforeseen(f"of the direct method {name}"), None)
        return status, answer

    async def _health(self, _payload: object) -> Result:
        report = self._report()
        slot = next((slot for slot in self._serving.repository.slots if slot.model is not None), None)
        metadata = None
        if slot is not None and slot.model is not None:
            metadata = describe_model(self._serving, slot.model).model_dump(exclude_none=True)
        ready = self._serving.repository.state == "ready"
        kept = ("state", "model", "version", "digest", "provider", "reason", "counts", "journal", "settings", "package")
        return 200, {**{name: report.get(name) for name in kept}, "ready": ready, "metadata": metadata}

    async def _predict(self, payload: object) -> Result:
        body = orjson.dumps(payload)
        entry = Entry(0, Arrival(f"devices/-/modules/-/inputs/{INPUT}", body, len(body)), 0, 0, replayed=False)
        with self._serving.queue.enter() as place:
            async with asyncio.timeout(self._serving.settings.request_timeout_s):
                (answer,) = await place.run(lambda stop: self._answerer.answer([entry], cancellation=stop))
        status = 200 if answer.output != ERRORS else int(answer.properties["status"])
        return status, orjson.loads(answer.body)

    async def _selftest(self, _payload: object) -> Result:
        model = self._serving.repository.only()
        started = time.perf_counter()
        checks = await asyncio.to_thread(_replayed, model)
        return 200, {
            "passed": all(check["passed"] for check in checks),
            "model": model.manifest.name,
            "version": model.manifest.version,
            "digest": model.package.digest,
            "provider": model.providers[0],
            "duration_ms": round((time.perf_counter() - started) * 1000, 3),
            "checks": checks,
        }

    async def _reload_models(self, _payload: object) -> Result:
        if self._reload is None or self._reload.done():
            self._reload = asyncio.create_task(self._load_again())
        done, _ = await asyncio.wait([self._reload], timeout=_RELOAD_S)
        if not done:
            return 202, {"state": "loading"}
        await self._reload  # raises why not
        slots = self._serving.repository.slots
        models = [
            {"model": slot.manifest.name, "version": slot.manifest.version, "digest": slot.package.digest}
            for slot in slots
            if slot.manifest is not None and slot.package is not None
        ]
        return 200, {"state": self._serving.repository.state, "models": models}

    async def _load_again(self) -> None:
        names = {slot.manifest.name for slot in self._serving.repository.slots if slot.manifest is not None}
        if not names:
            raise InvalidInput("no package could be read yet", hint="the reported property reason says why")
        for name in sorted(names):
            await self._serving.change("load", name)
        await self._retry()


def _replayed(model: Any) -> list[dict[str, Any]]:
    from runtime.engine.selftest import replay

    found = [replay(model, case) for case in model.package.test_data_sets()]
    return [
        {
            "name": each.name,
            "passed": each.problem is None,
            "detail": (each.problem or "")[:_DETAIL],
            "max_abs_error": each.max_abs_error,
        }
        for each in found
    ]
