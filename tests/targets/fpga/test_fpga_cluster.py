"""Nodes of a cluster, asked of the stand-in's API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import Release
from packager.core.deployment import DeploymentPlan
from packager.core.errors import SimulationAbsent
from packager.core.image import ImageRef
from packager.deploy import plan
from targets.aks import AksTarget
from targets.fpga import FpgaSettings
from targets.fpga.ep.places import OnKubernetes
from targets.fpga.hosted import MADE_FOR
from targets.fpga.rtl import places as simulations
from tests.support.aci_cloud import ReadyRunner
from tests.support.aks_cloud import AksCloud, aks_cloud
from tests.support.packages import make_package
from tests.support.unbuilt_circuits import unbuilt_package


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AksCloud]:
    with aks_cloud(tmp_path_factory.mktemp("cloud"), ReadyRunner()) as cloud:
        yield cloud


def way(cloud: AksCloud) -> OnKubernetes:
    return OnKubernetes(inner=AksTarget(cloud.access(), made_for=MADE_FOR))


def ep(**settings: Any) -> FpgaSettings:
    return FpgaSettings.model_validate({"mode": "ep", "host": "kubernetes", "resource": "amd.com/card", **settings})


def test_cluster_whose_nodes_offer_no_card_is_refused_by_name(cloud: AksCloud, state: Path) -> None:
    [found] = way(cloud).preflight(ep())
    assert (found.code, found.blocking) == ("E-NO-ACCELERATOR", True)
    assert "no node of the cluster (1 nodes) offers amd.com/card" in found.message


def test_cluster_without_a_card_serves_where_the_cpu_may_stand_in(cloud: AksCloud, state: Path) -> None:
    found = way(cloud).preflight(ep(fallback="allow"))
    assert found[0].code == "E-CPU-FALLBACK"
    assert not any(each.blocking for each in found)


def test_plan_is_the_clusters_own_under_the_name_of_this_target(cloud: AksCloud, state: Path, tmp_path: Path) -> None:
    release = Release(make_package(tmp_path / "iris"), ImageRef.parse(f"registry.example/iris@sha256:{'a' * 64}"))
    settings = ep(unchecked=True, vm_size="Standard_NP10s")
    made = plan(way(cloud), "iris", release, settings)
    [deployment] = [each for each in made.actions if each.resource == "deployment/iris"]
    container = deployment.body["spec"]["template"]["spec"]["containers"][0]
    assert made.target == "fpga"
    assert container["resources"]["limits"]["amd.com/card"] == "1"
    assert {each.code for each in made.findings} >= {"E-UNCHECKED", "E-SIZE-RETIRES", "E-NOT-QUANTIZED"}


def test_release_that_the_cpu_served_can_be_brought_back(cloud: AksCloud, state: Path) -> None:
    settings = FpgaSettings(mode="ep", host="kubernetes", fallback="allow")
    found = way(cloud).preflight(settings)
    assert found[0].code == "E-CPU-FALLBACK"
    assert "no resource says what stands for the AMD" in found[0].message
    assert not any(each.blocking for each in found)


def test_selector_without_nodes_is_not_guessed_at(cloud: AksCloud, state: Path) -> None:
    found = way(cloud).preflight(ep(kubernetes={"node_selector": {"pool": "grows-from-zero"}}))
    assert found[0].code == "E-UNCHECKED"


def circuit_planned(cloud: AksCloud, tmp_path: Path, **kubernetes: Any) -> DeploymentPlan:
    way = simulations.OnKubernetes(inner=AksTarget(cloud.access(), made_for=MADE_FOR))
    package = unbuilt_package(tmp_path / "net", platforms=("linux/amd64",))
    release = Release(package, ImageRef.parse(f"registry.example/net@sha256:{'a' * 64}"))
    settings = FpgaSettings.model_validate({"mode": "rtl", "host": "kubernetes", "kubernetes": kubernetes})
    return plan(way, "net", release, settings)


def test_plan_of_a_circuit_is_the_clusters_own_with_what_is_simulated(
    cloud: AksCloud, state: Path, tmp_path: Path
) -> None:
    made = circuit_planned(cloud, tmp_path)
    [deployment] = [each for each in made.actions if each.resource == "deployment/net"]
    pod = deployment.body["spec"]["template"]["spec"]
    assert (made.target, pod["nodeSelector"]["kubernetes.io/arch"]) == ("fpga", "amd64")
    assert made.findings[0].code == "E-SIMULATION"


def test_nodes_of_a_processor_that_no_simulation_was_built_for_are_refused(
    cloud: AksCloud, state: Path, tmp_path: Path
) -> None:
    with pytest.raises(SimulationAbsent, match=r"the host is linux/arm64, .* are for: linux/amd64"):
        circuit_planned(cloud, tmp_path, architecture="arm64")
