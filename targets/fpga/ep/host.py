"""A look at the card's host: device nodes, the card's own software, the provider, and what nodes of a cluster offer."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from targets.fpga.ep.needs import Needs

_XRT_HOME: Final = Path("/opt/xilinx/xrt")
_XRT_TOOLS: Final = ("xrt-smi", "xbutil")
_SIZE: Final = "node.kubernetes.io/instance-type"


@dataclass(frozen=True, slots=True)
class Host:
    """What was seen of a host.

    Attributes:
        seen: Whether it could be looked at; nothing else is known where not.
        where: In words for people.
        nodes: Device nodes of the card.
        groups: Ids of the groups that own them, other than root's.
        xrt: Whether its software is there.
        providers: Of the onnxruntime that would serve; None where an image holds that.
        offered: Of a cluster's nodes that offer the card's resource, with their sizes; None of what is no cluster.
        absent: Files of this machine that the settings name, and that are not there.
    """

    seen: bool
    where: str
    nodes: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    xrt: bool = False
    providers: tuple[str, ...] | None = None
    offered: Mapping[str, str] | None = None
    absent: tuple[str, ...] = ()

    @property
    def has_card(self) -> bool:
        """Whether there is one, as far as was seen."""
        return bool(self.offered if self.offered is not None else self.nodes)


def look_here(
    needs: Needs,
    asked: Sequence[str] | None,
    *,
    root: Path = Path("/"),
    providers: bool = False,
    files: Sequence[str] = (),
) -> Host:
    """This machine.

    Args:
        asked: Device nodes that the settings name; those that look like the card's where None.
        root: Where ``/dev`` and ``/sys`` are.
        providers: Whether the onnxruntime of this environment would serve.
        files: That the runtime reads, or a container gets.
    """
    nodes = tuple(node for node in asked if (root / node[1:]).exists()) if asked is not None else _nodes(needs, root)
    owners = {(root / node[1:]).stat().st_gid for node in nodes}
    return Host(
        True,
        "this machine",
        nodes,
        tuple(sorted(owners - {0})),
        _has_xrt(root),
        # It takes a third of a second to import: not where a card is missing already.
        _providers() if providers and (nodes or not needs.nodes) else None,
        absent=tuple(file for file in files if not (root / file.lstrip("/")).exists()),
    )


def look_at_nodes(found: Sequence[Mapping[str, Any]], resource: str | None) -> Host:
    """A cluster, by its Node objects."""
    offered = {}
    for node in found:
        count = str(((node.get("status") or {}).get("allocatable") or {}).get(resource or "", "0"))
        if count not in ("", "0"):
            labels = node["metadata"].get("labels") or {}
            offered[str(node["metadata"]["name"])] = str(labels.get(_SIZE, ""))
    return Host(True, f"the cluster ({len(found)} nodes)", offered=offered)


def _nodes(needs: Needs, root: Path) -> tuple[str, ...]:
    if not needs.nodes:
        return ()
    found = sorted((root / "dev").glob(needs.nodes))
    return tuple(f"/{node.relative_to(root)}" for node in found if _is_of(node.name, needs.vendor, root))


def _is_of(node: str, vendor: str | None, root: Path) -> bool:
    """Whether a node is of a vendor's card; one that the system says nothing about may be."""
    if vendor is None:
        return True
    try:
        return (root / "sys/class/drm" / node / "device/vendor").read_text().strip() == vendor
    except OSError:
        return True


def _has_xrt(root: Path) -> bool:
    named = os.environ.get("XILINX_XRT")
    home = Path(named) if named else root / _XRT_HOME.relative_to("/")
    return home.is_dir() or (root == Path("/") and any(shutil.which(tool) for tool in _XRT_TOOLS))


def _providers() -> tuple[str, ...]:
    import onnxruntime

    return tuple(onnxruntime.get_available_providers())
