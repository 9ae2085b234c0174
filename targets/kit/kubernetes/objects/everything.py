"""All objects of a release, in the order in which they are applied."""

from collections.abc import Callable

from targets.kit.kubernetes.objects.identity import pull_secret, secret, service_account
from targets.kit.kubernetes.objects.kserve import inference_service
from targets.kit.kubernetes.objects.network import (
    canary_service,
    gateway,
    http_route,
    ingress,
    network_policy,
    service,
)
from targets.kit.kubernetes.objects.wanted import Object, Wanted
from targets.kit.kubernetes.objects.workload import autoscaler, deployment, disruption_budget


def rendered(wanted: Wanted, value: Callable[[str], str] = str) -> tuple[Object, ...]:
    """What is applied; what pods need comes before them, and what leads to them after.

    Args:
        value: Behind a reference to a secret; the reference itself where left out, as no request may hold it.
    """
    return (*of_slot(wanted, value), *shared(wanted))


def of_slot(wanted: Wanted, value: Callable[[str], str] = str) -> tuple[Object, ...]:
    """What one release's pods are made of; beside that of the other slot it disturbs nothing."""
    given = (service_account(wanted), secret(wanted, value), pull_secret(wanted, value))
    runs = inference_service(wanted) if wanted.settings.kserve else deployment(wanted)
    return tuple(each for each in (*given, runs) if each is not None)


def shared(wanted: Wanted) -> tuple[Object, ...]:
    """What there is once for both slots, the Service first: it has the record."""
    if wanted.settings.kserve:
        policy = network_policy(wanted)
        return (policy,) if policy else ()
    made = (
        service(wanted),
        canary_service(wanted),
        network_policy(wanted),
        disruption_budget(wanted),
        autoscaler(wanted),
        gateway(wanted),
        http_route(wanted),
        ingress(wanted),
    )
    return tuple(each for each in made if each is not None)
