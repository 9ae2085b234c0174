"""What objects are rendered from in tests, and settings of all kinds."""

from typing import Any

from hypothesis import strategies as st

from targets.kit.kubernetes.objects import Wanted
from targets.kit.kubernetes.record import Hint, Served
from targets.kit.kubernetes.settings import Autoscale, KubernetesSettings, Trigger

IMAGE = f"registry.example/team/iris@sha256:{'a' * 64}"
HINT = Hint(memory_mib=180.4, cpu_millicores=240, startup_s=1.2)


def served(settings: KubernetesSettings, **changed: Any) -> Served:
    given: dict[str, Any] = {
        "model": "iris", "version": "1", "package": f"sha256:{'b' * 64}", "image": IMAGE, "hint": HINT,
        "settings": settings.model_dump(mode="json", exclude_defaults=True),
    }  # fmt: skip
    return Served(**{**given, **changed})


def wanted(settings: KubernetesSettings | None = None, **changed: Any) -> Wanted:
    chosen = settings or KubernetesSettings()
    own = {key: changed.pop(key) for key in ("slot", "record", "canary", "name", "namespace") if key in changed}
    return Wanted(
        **{"name": "iris", "namespace": "models", "served": served(chosen, **changed), "settings": chosen, **own}
    )


_label = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_text = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
_variable = st.from_regex(r"[A-Z]{2}[A-Z0-9_]{0,8}", fullmatch=True).filter(lambda name: not name.startswith("DRAY_"))


@st.composite
def any_settings(draw: st.DrawFn) -> KubernetesSettings:
    """Settings that are valid together."""
    kserve = draw(st.booleans())
    route = None if kserve else draw(st.sampled_from([None, "gateway", "ingress"]))
    service = draw(st.sampled_from(["ClusterIP", "LoadBalancer"]))
    scale = draw(st.sampled_from([None, Autoscale(), Autoscale(min=1, max=1, cpu_percent=5), Autoscale(
        triggers=(Trigger(type="prometheus", metadata={"query": "up"}),))]))  # fmt: skip
    cpu = sorted(draw(st.lists(st.integers(1, 9000), min_size=2, max_size=2)))
    policy = draw(st.booleans())
    names = draw(st.lists(_variable, unique=True, max_size=4))
    given = {
        "autoscale": scale,
        "replicas": None if scale else draw(st.none() | st.integers(1, 5000)),
        "cpu_millicores": draw(st.sampled_from([None, cpu[0]])),
        "cpu_limit_millicores": draw(st.sampled_from([None, cpu[1]])),
        "memory_mib": draw(st.none() | st.integers(32, 100_000)),
        "gpu": draw(st.none() | st.integers(1, 8)),
        "tmp_mib": draw(st.integers(1, 65536)),
        "port": draw(st.integers(1, 65535)),
        "service": service,
        "internal": service == "LoadBalancer" and draw(st.booleans()),
        "route": route,
        "host": f"{draw(_label)}.example.com" if route and draw(st.booleans()) else None,
        "gateway": draw(st.sampled_from([None, "shared", "infra/shared"])) if route == "gateway" else None,
        "tls_secret": draw(_label) if route and draw(st.booleans()) else None,
        "ingress_class": draw(st.none() | _label) if route == "ingress" else None,
        "api_keys": draw(st.sampled_from([None, "env:KEYS", "file:/keys"])),
        "env": {name: draw(_text) for name in names[:2]},
        "secret_env": {name: f"env:{name}" for name in names[2:]},
        "workload_identity": draw(st.sampled_from([None, "00000000-0000-0000-0000-000000000000"])),
        "pull_secret": draw(st.none() | _label),
        "network_policy": policy,
        "allow_from": tuple(draw(st.lists(_label, max_size=2))) if policy else (),
        "egress": draw(st.booleans()),
        "threads": draw(st.none() | st.integers(1, 64)),
        "startup_s": draw(st.none() | st.floats(0.1, 3600)),
        "drain_timeout_s": draw(st.floats(0.1, 3600)),
        "kserve": kserve,
    }
    return KubernetesSettings.model_validate(given)
