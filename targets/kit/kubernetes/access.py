"""Which cluster is asked, as whom, and how what runs there is reached from here."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from packager.core.errors import ConfigurationError
from packager.core.extras import require_extra

Reach = Literal["outside", "cluster", "rehearsal"]
# Where a rehearsal says which ports stand for those that its user may not open, such as ``80=8080``.
REACHED_PORTS: Final = "rehearsal.dray.dev/ports"
_IN_CLUSTER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_NO_CLUSTER: Final = "kubectl config use-context NAME, az aks get-credentials, or --set resource_group= and cluster="


@dataclass(frozen=True, slots=True)
class KubernetesAccess:
    """Access to one cluster.

    Attributes:
        client: Makes the official client's ``ApiClient``.
        where: The cluster, in words for messages.
        namespace: Where nothing else is said.
        reach: Whether the cluster's own addresses are reached from here, as they are in a pod or in a rehearsal. The
            name that a rehearsal's clients would use leads to something else, if anywhere: what serves already.
        poll_s: Between two looks at what is under way.
        patience_s: How long to wait for what may pass by itself: room on a node, a registry that fails.
        implied: Nobody named a cluster: it is the kubeconfig's current one.
        before: Called with method and path before each request.
    """

    client: Callable[[], Any] = field(repr=False)
    where: str
    namespace: str = "default"
    reach: Reach = "outside"
    poll_s: float = 1.0
    patience_s: float = 60.0
    implied: bool = False
    before: Callable[[str, str], None] | None = field(default=None, repr=False)


def token_access(url: str, token: str, *, ca_file: Path | None, **changed: Any) -> KubernetesAccess:
    """Access by a bearer token, past every proxy: to a server on this machine."""

    def client() -> Any:
        from kubernetes.client import ApiClient, Configuration

        configuration = Configuration(host=url)
        configuration.ssl_ca_cert = str(ca_file) if ca_file else None
        configuration.api_key = {"authorization": token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
        configuration.proxy = None
        return ApiClient(configuration)

    return KubernetesAccess(client, **{"where": url, **changed})


def kubeconfig_access(
    kubeconfig: str | None, context: str | None, environ: Mapping[str, str] | None = None
) -> KubernetesAccess:
    """Access as a kubeconfig has it; in a pod without one, as the pod's own account.

    Raises:
        EnvironmentMissing: The client is not installed.
        ConfigurationError: There is no kubeconfig, no such context, or it cannot be read.
    """
    require_extra("kubernetes")
    environ = os.environ if environ is None else environ
    path = str(Path(kubeconfig).expanduser()) if kubeconfig else _default_file(environ)
    if kubeconfig and not Path(str(path)).is_file():
        raise ConfigurationError(f"there is no kubeconfig {kubeconfig!r}", hint=_NO_CLUSTER)
    if path is None and environ.get("KUBERNETES_SERVICE_HOST"):
        return _in_cluster()
    if path is None:
        raise ConfigurationError("nothing says which Kubernetes cluster is meant: no kubeconfig", hint=_NO_CLUSTER)
    chosen = _context(path, context)
    place = (chosen.get("context") or {}).get("namespace") or "default"

    def client() -> Any:
        from kubernetes import config

        with _reading(path):
            return config.new_client_from_config(config_file=path, context=chosen["name"])

    return KubernetesAccess(
        client, where=f"context {chosen['name']!r}", namespace=place, implied=not (kubeconfig or context)
    )


def cluster_configured(environ: Mapping[str, str] | None = None) -> bool:
    """Whether anything here names a cluster; costs a look at a file or two, and loads no client."""
    environ = os.environ if environ is None else environ
    return _default_file(environ) is not None or bool(environ.get("KUBERNETES_SERVICE_HOST"))


def dictionary_access(kubeconfig: Mapping[str, Any], where: str) -> KubernetesAccess:
    """Access as a kubeconfig in memory has it, which a cloud's API gave.

    Raises:
        ConfigurationError: It cannot be used.
    """

    def client() -> Any:
        from kubernetes import config

        with _reading(where):
            return config.new_client_from_config_dict(dict(kubeconfig))

    return KubernetesAccess(client, where=where)


def _default_file(environ: Mapping[str, str]) -> str | None:
    """As kubectl has it: ``KUBECONFIG``, which may name several, else the one in the home folder."""
    if named := environ.get("KUBECONFIG"):
        return named if any(Path(each).expanduser().is_file() for each in named.split(os.pathsep) if each) else None
    home = Path.home() / ".kube" / "config"
    return str(home) if home.is_file() else None


def _context(path: str, wanted: str | None) -> Mapping[str, Any]:
    from kubernetes import config

    with _reading(path):
        contexts, current = config.list_kube_config_contexts(config_file=path)
    if wanted is None:
        return dict(current)
    for each in contexts:
        if each["name"] == wanted:
            return dict(each)
    names = ", ".join(repr(each["name"]) for each in contexts)
    raise ConfigurationError(f"{path!r} has no context {wanted!r}", hint=f"one of {names}")


def _in_cluster() -> KubernetesAccess:
    def client() -> Any:
        from kubernetes import config
        from kubernetes.client import ApiClient, Configuration

        configuration = Configuration()
        config.load_incluster_config(client_configuration=configuration)
        return ApiClient(configuration)

    place = (_IN_CLUSTER / "namespace").read_text(encoding="utf-8").strip()
    return KubernetesAccess(client, where="the cluster of this pod", namespace=place, reach="cluster")


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """What the client's loader says about a kubeconfig, which is bare of checks: of a list, it is a TypeError.

    Raises:
        ConfigurationError: It cannot be used.
    """
    import yaml
    from kubernetes import config

    try:
        yield
    except (config.ConfigException, OSError, ValueError, yaml.YAMLError) as error:
        words = " ".join(str(error).split())
        raise ConfigurationError(f"the kubeconfig {path!r} cannot be used: {words}", hint=_NO_CLUSTER) from error
    except (TypeError, AttributeError, LookupError) as error:
        message = f"the kubeconfig {path!r} cannot be used: what stands in it has not the form of one"
        raise ConfigurationError(message, hint=_NO_CLUSTER) from error
