"""An image has to bring the execution provider that shall do the work: refused before it is built, or told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from packager.core.deployment import ProviderAsked
from packager.core.errors import ProviderAbsent, RegistryError
from packager.deploy.places import Place
from packager.pipeline import DeployRequest, deploy, plan, ship
from packager.releases import _of_provider, check_build
from tests.image.bases import PYTHON, layout_of
from tests.support.cloud import CloudSettings, CloudTarget, install
from tests.support.packages import make_package

VITIS = "VitisAIExecutionProvider"


class CardSettings(CloudSettings):
    """Of a cloud whose machines have a card."""

    provider: str = VITIS
    must: bool = True

    @property
    def provider_asked(self) -> ProviderAsked | None:
        return ProviderAsked(self.provider, self.must)


def place(**settings: Any) -> Place:
    return Place(CloudTarget(), CardSettings(**settings))


@pytest.mark.parametrize("step", [deploy, ship])
def test_usual_base_has_no_provider_of_a_card_and_is_refused_before_anything_is_made(
    step: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = CloudTarget()
    cloud.settings_type = CardSettings
    install(monkeypatch, cloud)
    request = DeployRequest(target="cloud", image={"registry": "registry.example"})
    source = make_package(tmp_path / "iris").root if step is deploy else "no-such.onnx"
    asked = {"deployment": request} if step is ship else {"request": request}

    with pytest.raises(ProviderAbsent, match=rf"plain onnxruntime, for CPUs, which has no {VITIS}") as caught:
        step(source, **asked)

    assert caught.value.code == "E-NO-PROVIDER"
    assert caught.value.hint.startswith("--base IMAGE")
    assert cloud.journal == []


def test_base_that_brings_its_own_onnxruntime_is_taken_at_its_word() -> None:
    check_build(place(), {"registry": "registry.example", "base": "registry.example/base:1"})
    assert _of_provider(place(), plain=False) == ()
    [found] = _of_provider(place(), plain=True)
    assert (found.code, found.blocking) == ("E-NO-PROVIDER", True)


@pytest.mark.parametrize("name", ["CPUExecutionProvider", "AzureExecutionProvider"])
def test_plain_onnxruntime_does_for_what_it_has(name: str) -> None:
    assert _of_provider(place(provider=name), plain=True) == ()


def test_cpu_that_may_stand_in_is_announced() -> None:
    [found] = _of_provider(place(must=False), plain=True)
    assert (found.code, found.blocking) == ("E-CPU-FALLBACK", False)
    assert found.message.startswith(f"THE CPU WILL DO THE WORK of {VITIS}")


@pytest.mark.parametrize(
    ("own", "must", "codes"),
    [
        (False, True, [("E-NO-PROVIDER", True)]),
        (False, False, [("E-CPU-FALLBACK", False)]),
        (True, True, []),
    ],
)
def test_plan_shows_what_the_named_base_brings_and_a_deployment_goes_by_it(
    own: bool, must: bool, codes: list[tuple[str, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packager.image.layers.install_wheels", lambda *_: None)
    monkeypatch.setattr("packager.image.layers.bill_of_materials", lambda _: b"{}")
    cloud = CloudTarget()
    cloud.settings_type = CardSettings
    install(monkeypatch, cloud)
    brought = {"usr/lib/python3.11/site-packages/onnxruntime/__init__.py": b""} if own else {}
    base = layout_of(tmp_path / "base", ({**PYTHON, **brought},))
    request = DeployRequest(
        target="cloud",
        overrides=(f"must={str(must).lower()}",),
        image={"registry": "registry.invalid", "base": base, "compiled": False},
    )
    package = make_package(tmp_path / "iris").root

    planned = plan(package, request)

    assert [(each["code"], each["blocking"]) for each in planned.findings] == codes
    with pytest.raises(ProviderAbsent if codes and codes[0][1] else RegistryError):
        deploy(package, request)
    assert cloud.live == {}
