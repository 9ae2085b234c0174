from pathlib import Path

import pytest


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, without any cluster or card software of the machine's."""
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nobody"))
    monkeypatch.delenv("XILINX_XRT", raising=False)
    return tmp_path / "state"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A machine without any card."""
    (tmp_path / "bare/dev/dri").mkdir(parents=True)
    return tmp_path / "bare"


@pytest.fixture
def carded(tmp_path: Path) -> Path:
    """A machine with a GPU at renderD128, an AMD card at renderD129, and XRT."""
    root = tmp_path / "carded"
    for node, vendor in (("renderD128", "0x8086"), ("renderD129", "0x10ee")):
        (root / "dev/dri").mkdir(parents=True, exist_ok=True)
        (root / "dev/dri" / node).touch()
        (root / "sys/class/drm" / node / "device").mkdir(parents=True)
        (root / "sys/class/drm" / node / "device/vendor").write_text(f"{vendor}\n")
    (root / "opt/xilinx/xrt").mkdir(parents=True)
    return root
