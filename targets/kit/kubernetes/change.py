"""Changing a deployment: begun under a holder's name, tried, and then taken or undone.

Every step may be the last one of a command that is killed; what it leaves is enough for the next one.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from packager.core.errors import DeploymentBusy, DeploymentMissing, DrayError, FieldConflict, Transitioning
from packager.core.progress import Progress
from targets.kit.holder import Holder, refuse_if_held
from targets.kit.kubernetes.cluster import Cluster, Object
from targets.kit.kubernetes.course import Course
from targets.kit.kubernetes.kinds import OF_A_DEPLOYMENT, key_of, words_for
from targets.kit.kubernetes.names import object_name
from targets.kit.kubernetes.objects import Wanted, rendered
from targets.kit.kubernetes.objects.everything import of_slot, shared
from targets.kit.kubernetes.objects.identity import namespace
from targets.kit.kubernetes.objects.network import canary_service, gateway, http_route, service
from targets.kit.kubernetes.objects.wanted import slot_selector
from targets.kit.kubernetes.objects.workload import deployment
from targets.kit.kubernetes.record import Record, Served, Slot
from targets.kit.kubernetes.secrets import SecretValues
from targets.kit.kubernetes.settings import KubernetesSettings
from targets.kit.kubernetes.state import Deployed, Key, read, record_of, refuse_if_taken
from targets.kit.kubernetes.watch import Rollout, wait_rolled_out, watch_serving

logger = logging.getLogger(__name__)
_GONE_S = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """One command at work on one deployment.

    Attributes:
        target: Whose deployments they are, for messages.
        settings_of: Reads the settings of a release that a record holds.
        force: Take fields that others own.
        limit_s: For how long it may take.
    """

    cluster: Cluster
    target: str
    name: str
    settings_of: Callable[[Served], KubernetesSettings]
    values: SecretValues = field(repr=False)
    progress: Progress
    limit_s: float
    force: bool = False

    @property
    def until(self) -> float:
        """On the monotonic clock, from now on."""
        return time.monotonic() + self.limit_s

    def wanted(self, served: Served, slot: Slot, record: Record | None = None) -> Wanted:
        """A release that a record holds, as it was asked for."""
        settings = self.settings_of(served)
        return Wanted(self.name, self.cluster.namespace, served, settings, slot=slot, record=record)

    def put(self, objects: Iterable[Object]) -> None:
        """Apply them in their order."""
        for each in objects:
            self.progress.detail(f"applying {words_for(*key_of(each))}")
            self.cluster.apply(each, force=self.force)

    def put_back(self, objects: Iterable[Object]) -> None:
        """Apply them, but for fields that others have taken meanwhile: those are theirs."""
        for each in objects:
            try:
                self.put([each])
            except FieldConflict as error:
                logger.warning("not brought back: %s", error.message)


def refuse_if_busy(state: Deployed, target: str) -> None:
    """Raises DeploymentBusy: another command is changing it."""
    if state.record:
        refuse_if_held(state.name, target, state.record.held_by)


def refuse_conflicts(cluster: Cluster, chosen: Course, state: Deployed, *, force: bool) -> None:
    """Ask the cluster whether it would take what changes of objects that are there; nothing is changed.

    Raises:
        NameTaken: An object that would be made is there and is not dray's.
        FieldConflict: Others own fields of them.
        DrayError: The cluster would not.
    """
    objects = rendered(chosen.wanted)
    if not chosen.new_namespace:
        refuse_if_taken(cluster, (key for each in objects if (key := key_of(each)) not in state.objects))
    for each in objects:
        if key_of(each) in chosen.changes and each["kind"] != "Secret":
            cluster.apply(each, force=force, dry_run=True)


def begin(work: Work, chosen: Course, state: Deployed) -> Record:
    """Write down that this command is at it, and with what; void where somebody else was quicker.

    Raises:
        DeploymentBusy: Somebody else was.
        CredentialsUnusable: A secret of either release is not here; nothing was begun.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rendered(chosen.wanted, work.values)
    refuse_conflicts(work.cluster, chosen, state, force=work.force)
    live = chosen.record.live
    before = work.wanted(live, chosen.record.slot) if live else None
    if before is not None:
        rendered(before, work.values)
    trial = chosen.wanted.served.model_copy(update={"created": now})
    shifting = len(chosen.wanted.settings.steps) * chosen.wanted.settings.step_s if chosen.canary else 0.0
    holder = str(Holder.me(limit_s=work.limit_s + shifting))
    record = chosen.record.model_copy(update={"trial": trial, "holder": holder})
    if chosen.new_namespace:
        work.put([namespace(work.cluster.namespace)])
    claim = service(replace(before or chosen.wanted, record=record))
    if state.version:
        claim["metadata"]["resourceVersion"] = state.version
    try:
        work.cluster.apply(claim, force=work.force)
    except Transitioning as error:
        now_there = read(work.cluster, work.name)
        if now_there.record and now_there.record.holder == holder:
            return record  # it was done, and the answer did not arrive
        refuse_if_busy(now_there, work.target)
        raise DeploymentBusy(
            f"{work.name!r} on {work.target!r} was changed by another command at this moment", hint="run it again"
        ) from error
    return record


def put_in_place(work: Work, chosen: Course, record: Record, state: Deployed) -> None:
    """The release in the live slot: its pods replace the old ones, one by one; undone where they do not come up."""
    wanted = replace(chosen.wanted, record=record, served=record.trial or chosen.wanted.served)
    try:
        _hand_over_scale(work, wanted, state)
        work.put(rendered(wanted, work.values))
        _wait(work, wanted)
    except BaseException:
        _quietly(work, lambda: undo(work))
        raise


def put_beside(work: Work, chosen: Course, record: Record, state: Deployed) -> None:
    """The release in the other slot, where no traffic is; taken away again where it does not come up."""
    wanted = replace(chosen.wanted, served=record.trial or chosen.wanted.served)
    try:
        work.put(of_slot(wanted, work.values))
        live = state.objects.get(("Deployment", replace(wanted, slot=record.slot).workload))
        pods = (live or {}).get("spec", {}).get("replicas")
        if pods and not wanted.settings.replicas:
            work.cluster.say_scale(wanted.workload, int(pods))
        _wait(work, wanted)
    except BaseException:
        _quietly(work, lambda: undo(work))
        raise


def shift(work: Work, percent: int) -> None:
    """Give the trial a share of the traffic, and watch it there for a while.

    Raises:
        DrayError: Its pods do not stand it.
    """
    record = _mine(work)
    if record.live is None or record.trial is None:
        raise DeploymentMissing(f"no trial of {work.name!r} is under way", hint="deploy again")
    settings = work.settings_of(record.trial)
    split = Wanted(
        work.name, work.cluster.namespace, record.live, settings, slot=record.slot, record=record, canary=percent
    )
    work.progress.step(f"giving {record.trial.version} {percent} % of the traffic")
    work.put(each for each in (gateway(split), canary_service(split), http_route(split)) if each is not None)
    trial = replace(split, slot=record.trial_slot, served=record.trial)
    watch_serving(work.cluster, trial.workload, trial.selector, settings.step_s)


def take(work: Work) -> Record:
    """Let the trial be the one that serves; what only the old one needed goes after a while."""
    begun = _mine(work)
    record = begun.taken()
    served = record.live
    if served is None:
        raise DeploymentMissing(f"no release of {work.name!r} is there", hint="deploy again")
    wanted = work.wanted(served, record.slot, record)
    # One request moves all traffic, and says so.
    work.put([service(wanted)])
    moved = begun.live is not None and begun.slot != record.slot
    if moved:  # in place, the rest was applied before the tests
        work.put(each for each in shared(wanted) if key_of(each) != ("Service", wanted.label))
    if moved and wanted.settings.drain_s:
        work.progress.detail(f"old pods live on for {wanted.settings.drain_s:g} s")
        time.sleep(wanted.settings.drain_s)
    prune(work, wanted)
    return record


def undo(work: Work) -> None:
    """Bring back what served before; with nothing before, all goes."""
    record = _mine(work)
    if record.live is None:
        destroy(work)
        return
    wanted = work.wanted(record.live, record.slot, record)
    if record.trial_slot == record.slot:
        work.progress.step(f"bringing {record.live.version} back")
        work.put_back(rendered(wanted, work.values))
        _wait(work, wanted)
    elif route := http_route(wanted):
        work.put([route])  # first of all, no more requests for the trial
    work.put_back(shared(replace(wanted, record=record.undone())))
    prune(work, wanted)


def destroy(work: Work) -> None:
    """Delete every object of the deployment, and wait until its pods are gone."""
    state = read(work.cluster, work.name)
    _delete(work, state.objects)
    selector, until = {"app.kubernetes.io/instance": object_name(work.name)}, time.monotonic() + _GONE_S
    while work.cluster.list("Pod", selector) and time.monotonic() < until:
        time.sleep(work.cluster.access.poll_s)


def prune(work: Work, wanted: Wanted) -> None:
    """Delete what dray made for the deployment and what is no longer wanted."""
    kept = {key_of(each) for each in rendered(wanted)}
    state = read(work.cluster, work.name)
    _delete(work, [key for key in state.objects if key not in kept])


def _delete(work: Work, keys: Iterable[Key]) -> None:
    order = {kind: index for index, kind in enumerate(OF_A_DEPLOYMENT)}
    record = ("Service", object_name(work.name))
    for kind, name in sorted(keys, key=lambda key: (order[key[0]], key == record, key)):
        work.progress.detail(f"deleting {words_for(kind, name)}")
        work.cluster.delete(kind, name)


def _mine(work: Work) -> Record:
    """The record, which no other command has taken over meanwhile.

    Raises:
        DeploymentBusy: One has.
        DeploymentMissing: Somebody deleted it.
    """
    found = work.cluster.get("Service", object_name(work.name))
    known = record_of(found) if found else None
    if known is None:
        raise DeploymentMissing(f"{work.name!r} on {work.target!r} is gone", hint="somebody deleted it; deploy again")
    refuse_if_held(work.name, work.target, known[1].held_by)
    return known[1]


def _wait(work: Work, wanted: Wanted) -> None:
    work.progress.step(f"waiting for the pods of deployment/{wanted.workload}")
    wait_rolled_out(work.cluster, rollout_of(wanted), work.progress, until=work.until)


def rollout_of(wanted: Wanted) -> Rollout:
    """What is watched of a release."""
    [container] = deployment(wanted)["spec"]["template"]["spec"]["containers"]
    return Rollout(wanted.workload, slot_selector(wanted.label, wanted.slot), container["image"])


def _hand_over_scale(work: Work, wanted: Wanted, state: Deployed) -> None:
    """Where dray said a number of pods and now says none: it stays what it is, until another changes it."""
    there = state.objects.get(("Deployment", wanted.workload))
    pods = (there or {}).get("spec", {}).get("replicas")
    live = state.record.live if state.record else None
    if pods and live and not wanted.settings.replicas and work.settings_of(live).replicas:
        work.cluster.say_scale(wanted.workload, int(pods))


def _quietly(work: Work, undoing: Callable[[], None]) -> None:
    """Undo after a failure, which is what the user must hear about, whatever becomes of this."""
    try:
        undoing()
    except DrayError as error:
        logger.warning("%s could not be brought back: %s", work.name, error.message)
