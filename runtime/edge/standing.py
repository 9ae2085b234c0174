"""How a module stands, for whoever operates the device: reported properties, and the answer of ``health``."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from runtime.edge.answering import probabilities_of
from runtime.edge.intake import Intake
from runtime.edge.twin import Wishes
from runtime.routes.serving import Serving
from runtime.telemetry import Messages

_LONGEST: Final = 1000


def is_ready(serving: Serving) -> bool:
    """Whether every model passed its self-test, and one at least answers."""
    repository = serving.repository
    return repository.state == "ready" and any(slot.state == "ready" for slot in repository.slots)


def is_held(serving: Serving, wishes: Wishes) -> bool:
    """Whether what runs here shall take no messages: a digest that is wished means its package alone."""
    return wishes.holds({slot.package.digest for slot in serving.repository.slots if slot.package is not None})


def state_of(serving: Serving, wishes: Wishes) -> str:
    """``starting``, ``ready``, ``held`` or ``failed``."""
    state = serving.repository.state
    return "held" if state == "ready" and is_held(serving, wishes) else state


def standing(
    serving: Serving,
    wishes: Wishes,
    counts: Messages,
    *,
    settings: Mapping[str, Any],
    journal: str,
    package: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Everything that is reported under ``dray``; None where there is nothing to say.

    Args:
        settings: In force, with ``errors``.
        journal: ``ok``, or what is wrong with it.
        package: How the package that the twin asks for stands; None where it asks for none.
    """
    slots = serving.repository.slots
    slot = next((slot for slot in slots if slot.error is not None), slots[0])
    manifest, read, model = slot.manifest, slot.package, slot.model
    return {
        "model": manifest.name if manifest else None,
        "version": manifest.version if manifest else None,
        "digest": read.digest if read else None,
        "provider": model.providers[0] if model else None,
        "state": state_of(serving, wishes),
        "reason": slot.error.message[:_LONGEST] if slot.error is not None else None,
        "counts": asdict(counts),
        "settings": dict(settings),
        "journal": journal,
        "package": dict(package) if package is not None else None,
    }


def settings_of(serving: Serving, wishes: Wishes, log_level: str, problems: Mapping[str, str]) -> dict[str, Any]:
    """What is in force, whoever said it, and what is wished and cannot be."""
    own, samples = serving.settings, serving.samples
    errors = dict(problems)
    models = [slot.manifest for slot in serving.repository.slots if slot.manifest is not None]
    if wishes.min_confidence is not None and models and not any(map(probabilities_of, models)):
        errors["min_confidence"] = "the model gives no probabilities of its classes; all answers are certain"
    return {
        "hold": wishes.hold,
        "max_delay_us": wishes.max_delay_us or 0,
        "max_batch": wishes.max_batch or own.max_batch,
        "min_confidence": wishes.min_confidence,
        "sample_rate": samples.rate if samples is not None else 0.0,
        "log_level": log_level,
        "errors": errors,
    }


def journal_of(intake: Intake, absent: str) -> str:
    """``ok``, or in plain words what is wrong.

    Args:
        absent: Why there is none on the disk; empty where there is.
    """
    return f"none: {absent}" if absent else intake.trouble or "ok"
