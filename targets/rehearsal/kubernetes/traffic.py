"""Which backend a request over HTTP goes to: rules, matched as the Gateway API has it, and shares by weight."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from targets.rehearsal.kubernetes.store import Key

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service's port, with its share.

    Attributes:
        service: Namespace and name.
        known: Whether there is such a Service; requests for one that is not fail with 500.
    """

    service: Key
    port: int
    weight: int = 1
    known: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that go the same way.

    Attributes:
        identity: Of the rule, by which its turns are counted on; older routes sort first.
        hosts: Empty for all; ``*.example.com`` for all below.
        headers: Names in lower case.
        set_headers: That the backend sees in place of the request's; an empty value removes one.
    """

    identity: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    path: str = "/"
    exact: bool = False
    method: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    queries: tuple[tuple[str, str], ...] = ()
    backends: tuple[Backend, ...] = ()
    set_headers: tuple[tuple[str, str], ...] = ()

    def matches(self, host: str, path: str, method: str, headers: Headers, query: Mapping[str, str]) -> bool:
        """Whether a request is meant."""
        if self.hosts and not any(_host_fits(each, host) for each in self.hosts):
            return False
        if not self._path_fits(path) or (self.method and self.method != method):
            return False
        if any(query.get(name) != value for name, value in self.queries):
            return False
        return all(headers.get(name) == value for name, value in self.headers)

    def order(self) -> tuple[int, int, int, int, int, tuple[str, ...]]:
        """What is looked at first: more exact hosts, then paths, methods and headers, then older rules."""
        host = max((len(each) + (0 if each.startswith("*") else 1000) for each in self.hosts), default=0)
        more = len(self.headers) * 100 + len(self.queries)
        return -host, -int(self.exact), -len(self.path), -int(bool(self.method)), -more, self.identity

    def _path_fits(self, path: str) -> bool:
        if self.exact or self.path == path:
            return self.path == path
        prefix = self.path.rstrip("/")
        return path.startswith(f"{prefix}/") or path == prefix


@dataclass(slots=True)
class Splitter:
    """Takes turns among backends so that each run of requests has their shares, evenly spread.

    Source: the smooth weighted round robin of nginx.
    """

    _credit: dict[tuple[str, ...], dict[Backend, int]] = field(default_factory=dict)

    def choose(self, rule: Rule) -> Backend | None:
        """The backend of the next request; None where none has a share."""
        total = sum(each.weight for each in rule.backends)
        if not total:
            return None
        credit = self._credit.get(rule.identity)
        if credit is None or set(credit) != set(rule.backends):
            credit = self._credit[rule.identity] = dict.fromkeys(rule.backends, 0)
        for each in rule.backends:
            credit[each] += each.weight
        chosen = max(rule.backends, key=lambda each: credit[each])
        credit[chosen] -= total
        return chosen


class Users:
    """Which gateways or ingresses lead to which Services, so that a Service that comes or goes finds its own."""

    def __init__(self) -> None:
        self._services: dict[Key, frozenset[Key]] = {}
        self._users: dict[Key, dict[Key, None]] = {}

    def note(self, user: Key, rules: Iterable[Rule]) -> None:
        """What one leads to from now on."""
        services = frozenset(backend.service for rule in rules for backend in rule.backends)
        for gone in self._services.pop(user, frozenset()) - services:
            self._users.get(gone, {}).pop(user, None)
        for each in services:
            self._users.setdefault(each, {})[user] = None
        if services:
            self._services[user] = services

    def of(self, service: Key) -> list[Key]:
        """Who leads to a Service."""
        return list(self._users.get(service, ()))


def find(
    rules: Iterable[Rule], host: str, path: str, method: str, headers: Headers, query: Mapping[str, str]
) -> Rule | None:
    """The first of some ordered rules that means a request."""
    return next((rule for rule in rules if rule.matches(host, path, method, headers, query)), None)


def ordered(rules: Iterable[Rule]) -> Sequence[Rule]:
    """As requests look at them."""
    return sorted(rules, key=Rule.order)


def _host_fits(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[1:]
    return pattern == host
