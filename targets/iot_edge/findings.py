"""What would stop a deployment to IoT Edge, or is worth knowing before it: found without changing anything."""

import ipaddress
from collections.abc import Sequence

from packager.core.artifact import Release
from packager.core.deployment import Finding, Findings
from packager.core.errors import DrayError
from packager.core.image import Platform
from targets.iot_edge.course import Course, address_of_all
from targets.iot_edge.module import Wanted, credentials_of
from targets.iot_edge.secrets import SecretValues
from targets.iot_edge.settings import IotEdgeSettings
from targets.iot_edge.state import Device
from targets.kit.iothub.hub import AGENT
from targets.kit.referenced_values import looked_up

_APPLIED = "applied"


def of_error(error: DrayError) -> Finding:
    """An error that would stop the deployment."""
    return Finding(error.code, error.message, error.hint, blocking=True)


def early(settings: IotEdgeSettings) -> Findings:
    """What the settings alone show."""
    return (*_place(settings), *looked_up(settings.references())[1], *_exposure(settings))


def of_device(state: Device, chosen: Course, release: Release, values: SecretValues) -> Findings:
    """What one device, and the release, show."""
    wanted = chosen.wanted
    return (
        *platforms(wanted.settings, release, {state.device: state.platform}),
        *_offline(state, wanted.settings),
        *_managed(state),
        *_credentials(wanted, values, state),
        *of_release(wanted, release),
        *_gap(state, chosen),
    )


def of_fleet(devices: Sequence[tuple[str, bool]], wanted: Wanted, release: Release, values: SecretValues) -> Findings:
    """What the devices of a condition, and the release, show."""
    condition = wanted.settings.target_condition
    found: list[Finding] = []
    if not devices:
        message = f"no device meets {condition!r} now: the deployment waits for some"
        found.append(Finding("E-NO-DEVICES", message, "look at the tags of the devices: az iot hub query"))
    elif not any(connected for _, connected in devices):
        message = f"none of the devices that meet {condition!r} is connected: the deployment waits, untested"
        found.append(Finding("E-DEVICE-OFFLINE", message, "`dray test NAME` tests it later", _refused(wanted.settings)))
    return (*found, *_credentials(wanted, values, None), *of_release(wanted, release))


def platforms(settings: IotEdgeSettings, release: Release, devices: dict[str, Platform | None]) -> Findings:
    """Whether the image is for what the devices say that they are."""
    built = release.built_for or tuple(Platform("linux", each) for each in settings.architecture or ())
    found = []
    for device, platform in devices.items():
        if platform is None:
            message = (
                f"device {device!r} has never said which processor it has: that the image is for it was not checked"
            )
            found.append(Finding("E-UNCHECKED", message, "--set architecture=arm64 where it is one"))
        elif built and platform not in built:
            listed = ", ".join(map(str, built))
            message = f"device {device!r} is {platform}, and the image is for {listed} only"
            found.append(
                Finding("E-IMAGE-ARCH", message, f"build it for that too: --platform {platform}", blocking=True)
            )
    return tuple(found)


def of_release(wanted: Wanted, release: Release) -> Findings:
    """What the release shows wherever it goes."""
    return (*_image(release), *_memory(wanted, release))


def _place(settings: IotEdgeSettings) -> Findings:
    if settings.device or settings.target_condition:
        return ()
    message = "nothing says which device is meant"
    hint = "--set device=ID, or --set target_condition=\"tags.site='x'\" for many"
    return (Finding("E-CONFIG", message, hint, blocking=True),)


def _exposure(settings: IotEdgeSettings) -> Findings:
    if settings.http_port is None or settings.api_keys_file or _loopback(settings.http_host):
        return ()
    message = f"whoever reaches the device at port {settings.http_port} can reach the model: no key and no TLS"
    return (Finding("E-PUBLIC-ENDPOINT", message, "--set api_keys_file=FILE of the device, or http_host=127.0.0.1"),)


def _offline(state: Device, settings: IotEdgeSettings) -> Findings:
    if state.connected:
        return ()
    refused = _refused(settings)
    waits = "" if refused else ": the deployment waits for it, and what it had before is not tested against it"
    hint = "connect it" if refused else f"`dray test {state.name}` tests it when it is back"
    return (Finding("E-DEVICE-OFFLINE", f"device {state.device!r} is not connected{waits}", hint, blocking=refused),)


def _managed(state: Device) -> Findings:
    """Automatic deployments win over what is given to one device."""
    known = state.agent.get("configurations") or {}
    applied = sorted(name for name, how in known.items() if str((how or {}).get("status")).lower() == _APPLIED)
    if not applied:
        return ()
    message = f"configuration {applied[0]!r} is applied to device {state.device!r}: what it holds wins over this"
    hint = "deploy a layer for it: --set target_condition=\"deviceId='…'\" with a higher priority"
    return (Finding("E-AUTOMATIC-DEPLOYMENT", message, hint),)


def _credentials(wanted: Wanted, values: SecretValues, state: Device | None) -> Findings:
    host = wanted.image.host
    sent = credentials_of(wanted, str)
    if sent:
        whose = "this machine's credentials" if wanted.served.pull else "the credentials"
        message = (
            f"{whose} for {host} stand in clear in the deployment manifest: whoever may read twins at the hub,"
            " or is root on a device, can read them"
        )
        hint = (
            "let them be able to pull this repository and nothing else (of Azure: az acr token create, scope map pull)"
        )
        return (Finding("E-CLEAR-CREDENTIALS", message, hint),)
    agent = state.present[AGENT] if state else {}
    known = ((agent.get("runtime") or {}).get("settings") or {}).get("registryCredentials") or {}
    if host in address_of_all(known) or not values.knows(wanted.image):
        return ()
    message = f"this machine shows credentials to {host}, and the device gets none"
    hint = (
        "where it needs some: --set registry_username=env:NAME and registry_password=env:NAME of a token that may pull"
        " this repository alone; they stand in clear in the manifest"
    )
    return (Finding("E-PULL-TOKEN", message, hint),)


def _image(release: Release) -> Findings:
    if release.image is None or release.image.pinned:
        return ()
    message = f"{release.image} is named by its tag: whoever moves that changes what devices run"
    return (Finding("E-IMAGE-UNPINNED", message, "name it by its digest: image@sha256:…"),)


def _memory(wanted: Wanted, release: Release) -> Findings:
    hint, asked = release.package.certificate.resources, wanted.settings.memory_mib
    if hint is None or asked is None or asked >= hint.memory_mib:
        return ()
    message = f"memory_mib={asked}, and serving took {hint.memory_mib:.0f} MiB when measured"
    return (Finding("E-MEMORY", message, "raise --set memory_mib=N"),)


def _gap(state: Device, chosen: Course) -> Findings:
    if chosen.way == "keep" or state.record is None or state.record.live is None:
        return ()
    message = "messages wait at the device's hub while the new module is loaded and tested, for as long as they live"
    return (
        Finding(
            "E-GAP", message, "storeAndForwardConfiguration.timeToLiveSecs of the device's manifest, 2 h as a rule"
        ),
    )


def _refused(settings: IotEdgeSettings) -> bool:
    return settings.offline == "refuse"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
