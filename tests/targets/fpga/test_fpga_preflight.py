"""A card that is not there is named before anything is built; what Azure ends is told."""

import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from packager import pipeline
from packager.core.deployment import Findings, ProviderAsked
from packager.core.errors import AcceleratorMissing, ConfigurationError, DrayError
from packager.deploy.places import Place
from packager.deploy.planning import refuse_blocking
from packager.pipeline import DeployRequest
from packager.project import load_project
from targets.fpga import FpgaSettings, FpgaTarget
from targets.fpga.ep.findings import of_host
from targets.fpga.ep.needs import needs_of
from targets.fpga.ep.places import OnDocker, OnThisMachine
from targets.kit.engine.docker_host import DEFAULT_HOST

pytestmark = pytest.mark.usefixtures("state")


def ep(**settings: Any) -> FpgaSettings:
    return FpgaSettings.model_validate({"mode": "ep", **settings})


def codes(found: Findings) -> list[str]:
    return [each.code for each in found]


@pytest.fixture(autouse=True)
def _default_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", DEFAULT_HOST)


def test_missing_card_is_refused_with_the_node_that_is_missing(bare: Path) -> None:
    found = OnDocker(root=bare).preflight(ep())
    assert codes(found) == ["E-NO-ACCELERATOR", "E-NO-XRT"]
    with pytest.raises(AcceleratorMissing, match=r"no AMD .Xilinx. card: no device node /dev/dri/renderD"):
        refuse_blocking(found)


def test_gpu_of_another_vendor_is_no_card(carded: Path) -> None:
    (carded / "dev/dri/renderD129").unlink()
    assert codes(OnDocker(root=carded).preflight(ep()))[0] == "E-NO-ACCELERATOR"


def test_card_is_found_among_other_devices_and_needs_no_management_node(carded: Path) -> None:
    way = OnDocker(root=carded)
    host = way.host(ep())
    assert host.nodes == ("/dev/dri/renderD129",)
    assert not any(code.startswith("E-NO-") for code in codes(way.preflight(ep())))


def test_named_device_that_is_absent_is_named(carded: Path) -> None:
    found = OnDocker(root=carded).preflight(ep(devices=["/dev/dri/renderD129", "/dev/dri/renderD200"]))
    assert "no device node /dev/dri/renderD200" in found[0].message


def test_process_of_this_machine_needs_the_provider_in_its_onnxruntime(carded: Path) -> None:
    found = OnThisMachine(root=carded).preflight(ep(host="local"))
    assert codes(found) == ["E-NO-PROVIDER"]
    assert "no VitisAIExecutionProvider" in found[0].message


def test_cpu_that_may_stand_in_is_announced_and_stops_nothing(bare: Path) -> None:
    found = OnThisMachine(root=bare).preflight(ep(host="local", fallback="allow"))
    assert codes(found) == ["E-CPU-FALLBACK"]
    assert "THE CPU WILL DO THE WORK of VitisAIExecutionProvider" in found[0].message
    assert "/dev/dri/renderD*" in found[0].message


@pytest.mark.parametrize(
    ("provider", "options", "node"),
    [
        ("CUDAExecutionProvider", {}, "/dev/nvidia[0-9]*"),
        ("TensorrtExecutionProvider", {}, "/dev/nvidia[0-9]*"),
        ("DmlExecutionProvider", {}, "/dev/dxg"),
        ("OpenVINOExecutionProvider", {"device_type": "NPU"}, "/dev/accel/accel[0-9]*"),
        ("OpenVINOExecutionProvider", {"device_type": "GPU.0"}, "/dev/dri/renderD*"),
    ],
)
def test_one_mechanism_for_cards_of_all_makers(bare: Path, provider: str, options: dict[str, str], node: str) -> None:
    found = OnDocker(root=bare).preflight(ep(provider=provider, provider_options=options))
    assert codes(found) == ["E-NO-ACCELERATOR"]
    assert found[0].message.endswith(f"no device node {node}")


@pytest.mark.parametrize(("size", "told"), [("Standard_NP20s", True), ("Standard_NC4as_T4_v3", False)])
def test_series_that_azure_ends_is_told_with_the_date(bare: Path, size: str, told: bool) -> None:
    found = OnThisMachine(root=bare).preflight(ep(host="local", fallback="allow", vm_size=size))
    assert ("E-SIZE-RETIRES" in codes(found)) is told
    assert told == any("2027-05-31" in each.message for each in found)


def test_host_that_is_elsewhere_is_not_guessed_at(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes(OnDocker(root=bare).preflight(ep(unchecked=True)))[0] == "E-UNCHECKED"
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine.example:2375")
    settings = ep()
    host = OnDocker(root=bare).host(settings)
    [found] = of_host(settings, needs_of(settings), host)
    assert found.message.startswith("the engine's machine engine.example was not looked at")


@pytest.mark.parametrize("settings", [{}, {"mode": "ep", "host": "kubernetes"}])
def test_settings_that_name_no_way_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"no mode is set|no resource says"):
        refuse_blocking(FpgaTarget().preflight(FpgaSettings.model_validate(settings)))


@pytest.mark.parametrize(
    "settings",
    [
        {"docker": {"provider": "CUDAExecutionProvider"}},
        {"host": "local", "docker": {"port": 8080}},
        {"host": "local", "devices": ["/dev/dri/renderD128"]},
        {"resource": "amd.com/card"},
        {"cards": 2},
        {"host": "local", "provider": "CUDAExecutionProvider", "cards": 2},
        {"provider": "CPUExecutionProvider"},
        {"devices": ["renderD128"]},
        {"host": "kubernetes", "resource": "card"},
    ],
)
def test_settings_that_cannot_be_meant_together_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Value error|pattern"):
        ep(**settings)


def test_ship_asks_for_the_card_before_it_reads_the_model(tmp_path: Path, bare: Path, monkeypatch: Any) -> None:
    ways = {("ep", "docker"): OnDocker(root=bare)}
    monkeypatch.setattr(pipeline.plugins, "target", lambda _: FpgaTarget(ways))
    began = time.monotonic()
    with pytest.raises(DrayError) as caught:
        pipeline.ship(tmp_path / "no-such.onnx", deployment=DeployRequest(target="fpga", overrides=("mode=ep",)))
    assert caught.value.code == "E-NO-ACCELERATOR"
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("settings", "asked", "form"),
    [
        (ep(), None, "int8-static"),
        (ep(), "fp16", "fp16"),
        (ep(quantize="none"), None, None),
        (ep(provider="CUDAExecutionProvider"), None, None),
    ],
)
def test_model_is_packaged_in_the_form_that_the_card_takes(settings: Any, asked: str | None, form: str | None) -> None:
    place = Place(OnDocker(), settings)
    assert pipeline._in_form(place, {"quantize": asked}).get("quantize") == form


def test_settings_of_the_page_are_what_yaml_and_the_schema_say(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/fpga.md").read_text(encoding="utf-8")
    (tmp_path / "dray.yaml").write_text(
        textwrap.dedent("    targets:" + page.partition("\n    targets:")[2].partition("\n\n")[0])
    )
    section = load_project(tmp_path / "dray.yaml").targets["card"]
    settings = FpgaSettings.model_validate(section.settings)
    assert (settings.where, settings.kubernetes.groups) == ("kubernetes", (109,))


@pytest.mark.parametrize("said", ["standard_np10s", "STANDARD_NP10S", "NP10s", "Standard_NP10s"])
def test_size_is_understood_in_any_case_and_written_as_nodes_have_it(said: str) -> None:
    assert ep(vm_size=said).vm_size == "Standard_NP10s"
    assert ep(vm_size="standard_NC4as_T4_v3").vm_size == "Standard_NC4as_T4_v3"


def test_file_that_the_settings_name_and_that_is_not_there_is_named(carded: Path) -> None:
    options = {"config_file": "/opt/vaip/config.json"}
    local = OnThisMachine(root=carded).preflight(ep(host="local", provider_options=options, fallback="allow"))
    assert [(each.code, each.blocking) for each in local] == [("E-CONFIG", True)]
    assert "'/opt/vaip/config.json', and this machine has no such file" in local[0].message
    mounted = ep(provider_options=options, mounts=["/srv/vaip:/opt/vaip"])
    found = OnDocker(root=carded).preflight(mounted)
    assert [each.message.split("'")[1] for each in found] == ["/srv/vaip", "/srv/vaip/config.json"]
    (carded / "srv/vaip").mkdir(parents=True)
    (carded / "srv/vaip/config.json").touch()
    assert "E-CONFIG" not in codes(OnDocker(root=carded).preflight(mounted))


def test_file_in_a_container_that_no_mount_covers_may_be_in_its_image(carded: Path) -> None:
    settings = ep(provider_options={"config_file": "/opt/vaip/config.json", "xclbin": "dpu.xclbin"})
    assert "E-CONFIG" not in codes(OnDocker(root=carded).preflight(settings))


def test_image_needs_the_provider_of_a_card_and_none_for_a_circuit() -> None:
    assert ep().provider_asked == ProviderAsked("VitisAIExecutionProvider", must=True)
    assert ep(fallback="allow").provider_asked == ProviderAsked("VitisAIExecutionProvider", must=False)
    assert FpgaSettings(mode="rtl").provider_asked is None
