"""A plan as files that a repository of objects keeps: one YAML document an object, without secrets."""

from collections.abc import Mapping
from typing import Any, Final

from packager.core.errors import UsageError
from packager.documents import PlanDocument

_SECRET: Final = "Secret"  # noqa: S105 - a kind of object


def objects(document: PlanDocument, *, rehearsal: bool = False) -> str:
    """The objects of a plan in the order in which they are applied.

    Raises:
        UsageError: The target is not one of objects.
    """
    import yaml  # kept out of start-up

    wanted = [action.body for action in document.actions if action.verb != "delete"]
    if not all("kind" in body and "apiVersion" in body for body in wanted):
        raise UsageError(
            f"what {document.target!r} would do is no set of objects", hint="-o yaml is for Kubernetes; use -o json"
        )
    notes = [f"# {document.name} on {document.target}, by dray plan{' --rehearse' if rehearsal else ''}"]
    notes += [f"# {'STOPS' if each['blocking'] else 'note'} {each['message']}" for each in document.findings]
    notes += [_note(body) for body in wanted if body["kind"] == _SECRET]
    made = [dict(body) for body in wanted if body["kind"] != _SECRET]
    text = yaml.safe_dump_all(made, sort_keys=False, explicit_start=True, allow_unicode=True, width=120)
    return "\n".join([*notes, text])


def _note(secret: Mapping[str, Any]) -> str:
    keys = ", ".join(f"{key} ({reference})" for key, reference in (secret.get("stringData") or {}).items())
    return f"# not here, because no repository keeps secrets: secret/{secret['metadata']['name']} with {keys}"
