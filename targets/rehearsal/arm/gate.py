"""What each request must pass before a handler sees it: token, version, rate."""

import hmac
import re
from dataclasses import replace

from targets.rehearsal.arm import faults
from targets.rehearsal.arm import resource_errors as refusals
from targets.rehearsal.arm.calls import Answer, Call
from targets.rehearsal.arm.cloud import Cloud
from targets.rehearsal.arm.errors import PROVIDER
from targets.rehearsal.arm.routing import ROUTES, Handler, Route

# PATCH is not one: it changes no container.
_CHANGES = frozenset({"PUT", "DELETE", "POST"})
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def answer(cloud: Cloud, call: Call) -> Answer:
    """What is sent back.

    Raises:
        ArmError: The request is refused, here or by its handler.
    """
    authorise(cloud, call)
    route, handler, named = _find(call)
    version(call, route)
    subscription = named.subscription
    if subscription and not _GUID.fullmatch(subscription):
        raise refusals.malformed_subscription(subscription)
    rate = cloud.rates.take(subscription.lower(), call.method)
    change = call.method in _CHANGES and "group" in named.names and "container" not in named.names
    if change:
        faults.at_each_change(cloud.world, named)
    given = handler(cloud, named)
    cut = change and cloud.world.faults.due("drop")
    return replace(given, headers={**rate, **given.headers}, cut=cut)


def authorise(cloud: Cloud, call: Call) -> None:
    """Raises ArmError: it does not carry this stand-in's token."""
    given = call.headers.get("authorization")
    if given is None:
        raise refusals.no_token()
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), cloud.world.token.encode()):
        raise refusals.wrong_token()
    faults.at_each_request(cloud.world)


def version(call: Call, route: Route) -> None:
    """Raises ArmError: ``api-version`` is missing, or not one of the type."""
    given = call.query.get("api-version")
    if not given:
        raise refusals.no_version()
    if given not in route.versions:
        raise refusals.unknown_version(given, route.versions)


def _find(call: Call) -> tuple[Route, Handler, Call]:
    for route in ROUTES:
        match = route.pattern.fullmatch(call.path)
        if match is None:
            continue
        handler = route.handlers.get(call.method)
        if handler is None:
            raise refusals.wrong_method(call.method)
        return route, handler, replace(call, names=match.groupdict())
    _, found, rest = call.path.partition(f"/providers/{PROVIDER}/")
    if found:
        raise refusals.unknown_type(rest.partition("/")[0], call.query.get("api-version", ""))
    raise refusals.unknown_path(call.path)
