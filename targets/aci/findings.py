"""What would stop a deployment to Azure, or is worth knowing before it: found without changing anything."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from packager.core.artifact import Release
from packager.core.deployment import Finding, Findings
from packager.core.errors import (
    ArchitectureMissing,
    CapacityMissing,
    ConfigurationError,
    DrayError,
    QuotaReached,
    RequestRefused,
)
from packager.core.image import ImageRef, Platform
from targets.aci.groups import ContainerGroups
from targets.aci.planning import Course, whole_steps
from targets.aci.settings import AciSettings
from targets.aci.state import normal
from targets.aci.tags import MOST
from targets.aci.tls import fault_of
from targets.kit.referenced_values import looked_up

logger = logging.getLogger(__name__)
# Azure has no other processor for containers of Linux.
PLATFORM: Final = Platform("linux", "amd64")
# Source: learn.microsoft.com, "Resource availability and quota limits for Azure Container Instances".
_CPU_STEP, _MEMORY_STEP_GB = 0.01, 0.1
_PRIVILEGED: Final = 1024
_MIB_A_GB: Final = 1024


def early(settings: AciSettings, region: str, groups: ContainerGroups) -> Findings:
    """What the settings alone show: sizes that Azure does not have, and who can reach the endpoint."""
    return (*_steps(settings), *_limits(settings, region, groups), *_exposure(settings), *_secrets(settings))


def late(chosen: Course, release: Release, groups: ContainerGroups) -> Findings:
    """What the release and what is there show: quota, tags, probes, memory."""
    settings = chosen.wanted.settings
    quota = _quota(chosen, groups) if chosen.way in ("create", "replace") else ()
    return (
        *quota,
        *_tags(chosen),
        *_measured(settings, release, chosen.wanted.liveness_s),
        *_image(chosen, settings, release),
    )


def _steps(settings: AciSettings) -> Findings:
    found = []
    if not whole_steps(settings.cpu, _CPU_STEP):
        found.append(_blocking(f"cpu={settings.cpu:g} is no multiple of {_CPU_STEP:g} cores", "round it"))
    if not whole_steps(settings.memory_gb, _MEMORY_STEP_GB):
        found.append(
            _blocking(f"memory_gb={settings.memory_gb:g} is no multiple of {_MEMORY_STEP_GB:g} GB", "round it")
        )
    return tuple(found)


def _limits(settings: AciSettings, region: str, groups: ContainerGroups) -> Findings:
    try:
        every = groups.capabilities(region)
    except DrayError as error:
        return (_unchecked(f"what a container group of {region} may have", error),)
    rows = [row for row in every if _is_for(row, settings)]
    if not rows:
        known = {normal(str(row.get("location") or "")) for row in every}
        if settings.gpu and region in known:
            message = f"{region} has no GPU {settings.gpu.sku} for container groups"
            return (Finding(CapacityMissing.code, message, "another region or sku", blocking=True),)
        logger.info("Azure does not say how large a container group of %s may be", region)
        return ()
    wanted = {"maxCpu": settings.cpu, "maxMemoryInGB": settings.memory_gb}
    wanted |= {"maxGpuCount": float(settings.gpu.count)} if settings.gpu else {}
    names = {"maxCpu": "cpu", "maxMemoryInGB": "memory_gb", "maxGpuCount": "gpu.count"}
    found = []
    for key, value in wanted.items():
        given = [(row.get("capabilities") or {}).get(key) for row in rows]
        limits = [float(each) for each in given if each is not None]
        if limits and value > max(limits):
            message = f"{names[key]}={value:g}, and a container group of {region} may have {max(limits):g}"
            found.append(_blocking(message, "ask for less, or choose another region"))
    return tuple(found)


def _is_for(row: Mapping[str, Any], settings: AciSettings) -> bool:
    gpu = settings.gpu.sku if settings.gpu else "None"
    address = str(row.get("ipAddressType") or "").lower()
    return (
        str(row.get("osType")).lower() == "linux"
        and str(row.get("gpu") or "None").lower() == gpu.lower()
        and address in ("", settings.ip, "none")
    )


def _exposure(settings: AciSettings) -> Findings:
    found = []
    if settings.ip == "public" and not (settings.api_keys and settings.tls_cert):
        without = " and ".join(
            what for what, set_ in (("no key", settings.api_keys), ("no TLS", settings.tls_cert)) if not set_
        )
        message = f"everybody on the internet can reach the model: {without}"
        hint = "--set api_keys=env:NAME or file:PATH; tls_cert and tls_key; or ip=private with subnet_ids"
        found.append(Finding("E-PUBLIC-ENDPOINT", message, hint))
    if settings.ip == "private":
        message = "the group will stand in a subnet: smoke tests are sent from here, so this machine must reach it"
        found.append(
            Finding("E-PRIVATE-ENDPOINT", message, "run dray in that network, or in one that is peered with it")
        )
    if settings.port < _PRIVILEGED:
        message = f"the runtime runs as a user that may not listen on port {settings.port} everywhere"
        found.append(Finding("E-PRIVILEGED-PORT", message, "leave the port at 8080"))
    return tuple(found)


def _secrets(settings: AciSettings) -> Findings:
    values, found = looked_up(settings.references())
    if values.keys() >= {"tls_cert", "tls_key"} and (wrong := fault_of(values["tls_cert"], values["tls_key"])):
        return (*found, _blocking(wrong, "a certificate and its key, both in PEM"))
    return found


def _quota(chosen: Course, groups: ContainerGroups) -> Findings:
    settings, region = chosen.wanted.settings, chosen.wanted.region
    try:
        used = groups.usages(region)
    except DrayError as error:
        return (_unchecked(f"the quota in {region}", error),)
    cores = "StandardSpotCores" if settings.priority == "Spot" else "StandardCores"
    wanted = {"ContainerGroups": 1.0, cores: settings.cpu}
    if settings.gpu:
        wanted[f"Standard{settings.gpu.sku}Cores"] = float(settings.gpu.count)
    found = []
    for name, more in wanted.items():
        if name in used and used[name][0] + more > used[name][1]:
            now, limit = used[name]
            message = f"{name} in {region}: {now} of {limit} are used, and this takes {more:g} more"
            hint = "delete what is not needed, choose another region, or ask for more: portal, Quotas"
            found.append(Finding(QuotaReached.code, message, hint, blocking=True))
    return tuple(found)


def _tags(chosen: Course) -> Findings:
    count = len(chosen.body.get("tags") or {})
    if count <= MOST:
        return ()
    message = f"{count} tags, and a resource may have {MOST}: dray needs some itself"
    return (Finding(RequestRefused.code, message, "fewer of your own", blocking=True),)


def _measured(settings: AciSettings, release: Release, liveness_s: int) -> Findings:
    hint = release.package.certificate.resources
    if hint is None:
        return ()
    found = []
    if liveness_s < hint.startup_s:
        message = f"liveness is asked for after {liveness_s} s, and the start took {hint.startup_s:.3g} s when measured"
        found.append(Finding("E-PROBE-TIMING", message, "raise --set startup_s=N, or leave it out"))
    if settings.memory_gb * _MIB_A_GB < hint.memory_mib:
        message = f"memory_gb={settings.memory_gb:g}, and serving took {hint.memory_mib:.0f} MiB when measured"
        found.append(Finding("E-MEMORY", message, "raise --set memory_gb=N"))
    return tuple(found)


def _image(chosen: Course, settings: AciSettings, release: Release) -> Findings:
    found, image = list[Finding](), chosen.wanted.image
    if release.built_for and PLATFORM not in release.built_for:
        message = f"{image} is built for {', '.join(map(str, release.built_for))}, and Azure runs {PLATFORM} alone"
        found.append(
            Finding(ArchitectureMissing.code, message, f"dray image PACKAGE --platform {PLATFORM}", blocking=True)
        )
    if not image.pinned:
        message = f"{image} is named by its tag: whoever moves that changes what runs after the next restart"
        found.append(Finding("E-IMAGE-UNPINNED", message, "name it by its digest: image@sha256:…"))
    if chosen.wanted.pull and not settings.registry_identity and is_azure_registry(image):
        message = "Azure gets this account's token for the registry, which ends after some hours: later pulls fail"
        hint = "--set registry_identity=RESOURCE_ID of a managed identity with the role AcrPull"
        found.append(Finding("E-PULL-TOKEN", message, hint))
    return tuple(found)


def is_azure_registry(image: ImageRef) -> bool:
    """Whether Azure's own identities can pull it."""
    return ".azurecr." in image.host


def _unchecked(what: str, error: DrayError) -> Finding:
    """A role on one resource group alone does not let people read what is the subscription's."""
    return Finding(
        "E-UNCHECKED", f"{what} could not be looked at: {error.message}", "Azure will say so if it is too much"
    )


def _blocking(message: str, hint: str) -> Finding:
    return Finding(ConfigurationError.code, message, hint, blocking=True)
