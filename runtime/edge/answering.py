"""Messages become answers: as many together as may share a run, and none may spoil another's."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from runtime.app import status_of, unforeseen
from runtime.codec.json_body import parse_json
from runtime.contract.dtypes import DTYPES
from runtime.contract.errors import DrayError
from runtime.contract.manifest import ModelManifest
from runtime.edge.journal import Entry
from runtime.edge.messages import (
    INPUT,
    MOST_BYTES,
    PREDICTIONS,
    UNCERTAIN,
    Answer,
    Message,
    about_model,
    answer_to,
    read_message,
    refusal_of,
)
from runtime.errors import InvalidInput, MessageTooLarge, PoisonMessage
from runtime.routes.dialects import Answered, Ask, Dialect, invocations, open_inference
from runtime.routes.observing import sample
from runtime.routes.serving import Serving

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.batching import Job
    from runtime.engine.session import Cancellation, OnnxModel

logger = logging.getLogger(__name__)

# A message is not answered by a run any more when so many processes have ended over it.
MOST_ATTEMPTS: Final = 3
# What tells a tensor of the Open Inference Protocol from a row that happens to have a column called name.
_OF_TENSORS: Final = frozenset({"datatype", "shape"})


@dataclass(slots=True)
class _Work:
    """One message on its way to its answer."""

    message: Message
    model: "OnnxModel | None" = None
    dialect: str = "v2"
    asked: Ask | None = None
    came: "Mapping[str, Any] | Exception | None" = None


@dataclass(frozen=True, slots=True)
class Answerer:
    """Answers messages with the models of a server; in any thread.

    Args:
        journal: Its name, for ids.
    """

    serving: Serving
    journal: str

    def answer(
        self,
        entries: Sequence[Entry],
        *,
        max_batch: int | None = None,
        min_confidence: float | None = None,
        again: Callable[[Entry], bool] = lambda entry: entry.replayed,
        cancellation: "Cancellation | None" = None,
    ) -> list[Answer]:
        """One answer for each message, in their order: predictions, or why there are none.

        Args:
            max_batch: Rows that messages may share a run up to; None for what was measured.
            min_confidence: Answers below it go to the output for uncertain ones.
            again: Whether a message may have been answered before.
        """
        works = [self._begin(entry, again(entry), min_confidence) for entry in entries]
        self._run(works, max_batch, cancellation)
        return [self._end(work, again(work.message.entry), min_confidence) for work in works]

    def refuse(self, entry: Entry, error: DrayError, *, again: bool) -> Answer:
        """The answer to a message that gets no prediction."""
        return self._refusal(_Work(read_message(entry)), error, again)

    def _begin(self, entry: Entry, again: bool, min_confidence: float | None) -> _Work:
        work = _Work(read_message(entry))
        try:
            _check(entry)
            work.model = self._model_for(work.message.input)
            work.dialect, dialect = _dialect_of(work.message)
            headers = {"content-type": work.message.content_type} if work.dialect == "csv" else {}
            work.asked = dialect(headers)(work.message.body, work.model.manifest)
        except Exception as error:  # noqa: BLE001 - a bug met with one message must not stop the others
            work.came = error
        return work

    def _model_for(self, name: str) -> "OnnxModel":
        repository = self.serving.repository
        if name == INPUT:
            return repository.only()
        names = sorted({slot.manifest.name for slot in repository.slots if slot.manifest is not None})
        if name in names:
            return repository.find(name)
        raise InvalidInput(
            f"there is no input {name!r}; this module has {', '.join([INPUT, *names])}",
            hint=f"route messages into inputs/{INPUT}, or into the input with a model's name",
        )

    def _run(self, works: Sequence[_Work], max_batch: int | None, cancellation: "Cancellation | None") -> None:
        from runtime.engine.batching import make_job, run_jobs

        jobs: dict[int, tuple[OnnxModel, list[Job]]] = {}
        for work in works:
            if work.asked is not None and work.model is not None:
                job = make_job(work.model, work.asked.inputs, None, done=partial(setattr, work, "came"))
                jobs.setdefault(id(work.model), (work.model, []))[1].append(job)
        for model, waiting in jobs.values():
            most = max_batch or self.serving.settings.max_batch or self._best_rows(model)
            run_jobs(waiting, partial(model.run, cancellation=cancellation), most)

    def _best_rows(self, model: "OnnxModel") -> int:
        costs = next((slot.costs for slot in self.serving.repository.slots if slot.model is model), None)
        return costs.best_rows if costs is not None else 1

    def _end(self, work: _Work, again: bool, min_confidence: float | None) -> Answer:
        try:
            return self._predictions(work, again, min_confidence)
        except DrayError as error:
            return self._refusal(work, error, again)
        except Exception as error:
            name = work.message.request_id or str(work.message.entry.id)
            logger.error("unforeseen failure", exc_info=error, extra={"fields": {"message_id": name}})  # noqa: TRY400
            return self._refusal(work, unforeseen(name), again)

    def _predictions(self, work: _Work, again: bool, min_confidence: float | None) -> Answer:
        model, asked, came = work.model, work.asked, work.came
        if isinstance(came, Exception):
            raise came
        if model is None or asked is None or came is None:
            raise AssertionError("a message without an error has a model and outputs")
        wanted = came if asked.outputs is None else {name: came[name] for name in asked.outputs}
        reply = asked.reply(wanted)
        if reply.headers:
            raise InvalidInput("an answer in the binary form does not fit a message", hint="ask for JSON outputs")
        confidence = confidence_of(model.manifest, came) if min_confidence is not None else None
        doubtful = confidence is not None and min_confidence is not None and confidence < min_confidence
        about = about_model(model.manifest, model.package.digest)
        if confidence is not None:
            about["confidence"] = f"{confidence:.6g}"
        answer = answer_to(
            work.message,
            UNCERTAIN if doubtful else PREDICTIONS,
            reply.body,
            journal=self.journal,
            about=about,
            again=again,
        )
        if not answer.sendable:
            raise MessageTooLarge(
                f"the answer has {answer.size_bytes} bytes, the hub takes {MOST_BYTES}",
                hint="send fewer rows in a message, or ask for fewer outputs",
            )
        answered = Answered(reply, asked.inputs, wanted, (0, 0))
        sample(self.serving, model, answered, dialect=work.dialect, request_id=work.message.request_id or "")
        return answer

    def _refusal(self, work: _Work, error: DrayError, again: bool) -> Answer:
        about = about_model(work.model.manifest, work.model.package.digest) if work.model is not None else {}
        return refusal_of(work.message, error, status_of(error), journal=self.journal, about=about, again=again)


def confidence_of(manifest: ModelManifest, outputs: Mapping[str, Any]) -> float | None:
    """The least certain row's largest probability; None for a model that gives no probabilities of its classes."""
    name = probabilities_of(manifest)
    if name is None or name not in outputs or not outputs[name].size:
        return None
    return float(outputs[name].max(axis=-1).min())


def probabilities_of(manifest: ModelManifest) -> str | None:
    """The output with a probability for each class, by its labels."""
    for name, labels in (manifest.labels or {}).items():
        spec = manifest.signature.output_specs.get(name)
        if spec is not None and DTYPES[spec.dtype].is_float and spec.shape and spec.shape[-1] == len(labels):
            return name
    return None


def _check(entry: Entry) -> None:
    if entry.arrival.size_bytes > MOST_BYTES:
        raise MessageTooLarge(
            f"the message has {entry.arrival.size_bytes} bytes, at most {MOST_BYTES} are taken",
            hint="send fewer rows in a message",
        )
    if entry.attempts >= MOST_ATTEMPTS:
        raise PoisonMessage(
            f"the process ended {entry.attempts} times while it answered this message",
            hint="look at the module's log, and at its memory limit, with this message's rows",
        )


def _dialect_of(message: Message) -> tuple[str, Dialect]:
    """How the body is read: as the Open Inference Protocol has it, or as MLflow."""
    if (message.content_type or "").partition(";")[0].strip().lower() == "text/csv":
        return "csv", invocations
    try:
        document = parse_json(message.body)
    except InvalidInput:
        return "mlflow", invocations  # it says what is wrong
    inputs = document.get("inputs") if isinstance(document, dict) else None
    first = inputs[0] if isinstance(inputs, list) and inputs else None
    tensors = isinstance(first, dict) and "name" in first and not first.keys().isdisjoint(_OF_TENSORS)
    return ("v2", open_inference) if tensors else ("mlflow", invocations)
