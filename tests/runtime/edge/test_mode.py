"""Whether a server is a module, and what that costs one that is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.settings import AUTO, SettingInvalid, read_settings
from tests.support.servers import run_to_end, running_server

MODULE = {
    "IOTEDGE_WORKLOADURI": "unix:///nowhere.sock",
    "IOTEDGE_DEVICEID": "d",
    "IOTEDGE_MODULEID": "m",
    "IOTEDGE_MODULEGENERATIONID": "1",
    "IOTEDGE_IOTHUBHOSTNAME": "hub.example",
    "IOTEDGE_GATEWAYHOSTNAME": "127.80.255.254",
    "IOTEDGE_APIVERSION": "2019-01-30",
}


def test_the_edge_agents_environment_makes_a_module() -> None:
    assert read_settings({})[0].edge is False
    assert read_settings(MODULE)[0].edge is True


def test_an_environment_that_is_not_whole_is_named() -> None:
    environ = {name: value for name, value in MODULE.items() if name not in ("IOTEDGE_MODULEID", "IOTEDGE_APIVERSION")}
    with pytest.raises(SettingInvalid, match="IOTEDGE_WORKLOADURI is set, IOTEDGE_MODULEID, IOTEDGE_APIVERSION not"):
        read_settings(environ)


def test_a_module_is_one_process() -> None:
    with pytest.raises(SettingInvalid, match="DRAY_WORKERS is 2, and a module of IoT Edge is one process"):
        read_settings({**MODULE, "DRAY_WORKERS": "2"})
    assert read_settings({"DRAY_WORKERS": "auto"})[0].workers == AUTO
    assert read_settings({**MODULE, "DRAY_WORKERS": "auto"})[0].workers == 1


def test_the_client_is_needed_by_modules_only(package: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _WITHOUT_CLIENT], env={**MODULE, "DRAY_PACKAGES": str(package), "DRAY_PORT": "0"},
        capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert ended.returncode == 2
    assert "E-SETTING IOTEDGE_WORKLOADURI is set, and azure-iot-device is not installed" in ended.stderr


def test_a_server_that_is_no_module_imports_nothing_of_it(package: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _SERVE_AND_TELL], env={"DRAY_PACKAGES": str(package), "DRAY_PORT": "0"},
        capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert ended.stdout.strip() == "[]", ended.stderr


def test_a_module_without_its_hub_serves_http_and_tries_again(package: Path, tmp_path: Path) -> None:
    kept = {"DRAY_EDGE_FOLDER": str(tmp_path)}
    with running_server(package, log=tmp_path / "log", **MODULE, **kept) as server:
        server.wait_for_log('"not connected"', count=2)
        assert server.readiness()["ready"] is True
        assert '"error_code": "E-EDGE"' in server.stderr()
        assert server.terminate() == 0


def test_a_bad_journal_bound_stops_the_start(package: Path) -> None:
    ended = run_to_end(package, DRAY_EDGE_JOURNAL_MESSAGES="0")
    assert ended.returncode == 2
    assert "DRAY_EDGE_JOURNAL_MESSAGES is '0', allowed: a whole number from 1 to 10000000" in ended.stderr


_WITHOUT_CLIENT = """
import sys
sys.modules["azure"] = None
from runtime.server.run import main
sys.exit(main())
"""
_SERVE_AND_TELL = """
import os, signal, sys, threading, time
from runtime.server.run import main

def stop():
    while "runtime.engine.session" not in sys.modules:
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=stop, daemon=True).start()
main()
ours = ("azure", "paho", "requests", "sqlite3")
print(sorted(name for name in sys.modules if name.split(".")[0] in ours or name.startswith("runtime.edge")))
"""
