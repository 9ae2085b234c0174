import dataclasses
from pathlib import Path

import pytest

from runtime.settings import AUTO, SettingInvalid, Settings, read_settings


def refused(**environ: str) -> SettingInvalid:
    with pytest.raises(SettingInvalid) as caught:
        read_settings(environ)
    assert caught.value.code == "E-SETTING"
    assert "\n" not in caught.value.message
    return caught.value


def test_nothing_set_gives_the_defaults() -> None:
    settings, warnings = read_settings({"PATH": "/bin"})
    assert settings == Settings()
    assert warnings == ()
    assert (settings.packages, settings.host, settings.port) == ((Path("/model"),), "0.0.0.0", 8080)


def test_every_setting_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    settings, warnings = read_settings(
        {
            "DRAY_PACKAGES": "/a:/b",
            "DRAY_HOST": "[::1]",
            "DRAY_PORT": "0",
            "DRAY_STANDBY_PORT": "9001",
            "DRAY_WORKERS": "1",
            "DRAY_THREADS": "3",
            "DRAY_MAX_BODY_MIB": "5",
            "DRAY_MAX_QUEUE": "7",
            "DRAY_MAX_WAIT_S": "0.5",
            "DRAY_REQUEST_TIMEOUT_S": "2.5",
            "DRAY_PROVIDERS": "CUDAExecutionProvider, CPUExecutionProvider",
            "DRAY_REQUIRE_PROVIDERS": "CUDAExecutionProvider",
            "DRAY_API_KEYS_FILE": str(file),
            "DRAY_TLS_CERT_FILE": str(file),
            "DRAY_TLS_KEY_FILE": str(file),
            "DRAY_LOG_LEVEL": "DEBUG",
            "DRAY_SAMPLE_RATE": "0.1",
            "DRAY_SAMPLE_FILE": "/samples/f",
            "DRAY_EDGE_FOLDER": "/kept",
            "DRAY_EDGE_JOURNAL_MESSAGES": "9",
            "DRAY_EDGE_JOURNAL_MIB": "3",
        }
    )
    assert warnings == ()
    assert settings == Settings(
        packages=(Path("/a"), Path("/b")),
        host="::1",
        port=0,
        standby_port=9001,
        threads=3,
        max_body_mib=5,
        max_queue=7,
        max_wait_s=0.5,
        request_timeout_s=2.5,
        providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
        require_providers=("CUDAExecutionProvider",),
        api_keys_file=file,
        tls_cert_file=file,
        tls_key_file=file,
        log_level="debug",
        sample_rate=0.1,
        sample_file=Path("/samples/f"),
        edge_folder=Path("/kept"),
        edge_journal_messages=9,
        edge_journal_mib=3,
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("DRAY_PORT", "65536", "a whole number from 0 to 65535"),
        ("DRAY_PORT", "80a", "a whole number from 0 to 65535"),
        ("DRAY_PORT", "-1", "a whole number from 0 to 65535"),
        ("DRAY_PORT", "٣", "a whole number from 0 to 65535"),
        ("DRAY_STANDBY_PORT", "0", "a whole number from 1 to 65535"),
        ("DRAY_WORKERS", "0", "auto or a whole number from 1 to 128"),
        ("DRAY_WORKERS", "129", "auto or a whole number from 1 to 128"),
        ("DRAY_WORKERS", "all", "auto or a whole number from 1 to 128"),
        ("DRAY_THREADS", "0", "a whole number from 1 to 1024"),
        ("DRAY_MAX_BATCH", "0", "a whole number from 1 to 65536"),
        ("DRAY_MAX_DELAY_US", "soon", "a whole number from 0 to 10000000"),
        ("DRAY_MAX_BODY_MIB", "0", "a whole number from 1 to 65536"),
        ("DRAY_MAX_QUEUE", "1e3", "a whole number from 1 to 1000000"),
        ("DRAY_MAX_WAIT_S", "0", "a number from 0.01 to 86400"),
        ("DRAY_REQUEST_TIMEOUT_S", "0", "a number from 0.01 to 86400"),
        ("DRAY_REQUEST_TIMEOUT_S", "nan", "a number from 0.01 to 86400"),
        ("DRAY_SAMPLE_RATE", "1.1", "a number from 0 to 1"),
        ("DRAY_LOG_LEVEL", "loud", "debug, info, warning, error, critical"),
        ("DRAY_HOST", "http://x", "a host name or an IPv4 or IPv6 address, without a port"),
        ("DRAY_PACKAGES", "/a::/b", "package folders separated by ':', none of them empty"),
        ("DRAY_PROVIDERS", "cuda", "names such as CUDAExecutionProvider, separated by commas"),
        ("DRAY_REQUIRE_PROVIDERS", "cuda", "names such as CUDAExecutionProvider, separated by commas"),
        ("DRAY_API_KEYS_FILE", "/nowhere/keys", "a file that this process can read"),
        ("DRAY_TLS_CERT_FILE", "/nowhere/cert", "a file that this process can read"),
    ],
)
def test_bad_value_names_variable_value_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    error = refused(**{name: value})
    assert error.message == f"{name} is {value!r}, allowed: {allowed}"
    assert error.hint
    assert error.detail == {"name": name, "value": value, "allowed": allowed}


def test_tls_needs_both_files(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("x")
    error = refused(DRAY_TLS_CERT_FILE=str(tmp_path / "cert"))
    assert error.message == "DRAY_TLS_KEY_FILE is not set, its counterpart is"


def test_standby_port_is_another_port() -> None:
    assert "both 9000" in refused(DRAY_PORT="9000", DRAY_STANDBY_PORT="9000").message


def test_empty_value_counts_as_absent() -> None:
    assert read_settings({"DRAY_PORT": " ", "DRAY_THREADS": ""}) == (Settings(), ())


def test_unknown_name_is_warned_of_with_the_nearest() -> None:
    _, warnings = read_settings({"DRAY_PROT": "1", "DRAY_HOME": "/x", "DRAYAGE": "y"})
    assert warnings == ("unknown setting DRAY_PROT is ignored (did you mean DRAY_PORT?)",)


def test_names_that_kubernetes_injects_never_stop_the_start() -> None:
    injected = {
        "DRAY_SERVICE_HOST": "10.0.0.1",
        "DRAY_SERVICE_PORT": "8080",
        "DRAY_PORT": "tcp://10.0.0.1:8080",
        "DRAY_PORT_8080_TCP_ADDR": "10.0.0.1",
        "DRAY_WEB_SERVICE_HOST": "10.0.0.2",
    }
    settings, warnings = read_settings(injected)
    assert settings.port == 8080
    assert len(warnings) == 5
    assert any("DRAY_PORT='tcp://10.0.0.1:8080' is what Kubernetes sets" in warning for warning in warnings)


def test_batching_and_the_fast_path_can_be_set() -> None:
    settings, warnings = read_settings({"DRAY_MAX_BATCH": "32", "DRAY_MAX_DELAY_US": "500", "DRAY_FAST_PATH": "0"})

    assert (settings.max_batch, settings.max_delay_us, settings.fast_path) == (32, 500, False)
    assert warnings == ()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(("given", "workers"), [("1", 1), ("4", 4), ("128", 128), ("auto", AUTO), ("AUTO", AUTO)])
def test_workers_are_a_number_or_one_for_each_processor(given: str, workers: int) -> None:
    assert read_settings({"DRAY_WORKERS": given})[0].workers == workers


def test_several_workers_are_refused_where_a_process_cannot_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.settings.sys.platform", "darwin")
    error = refused(DRAY_WORKERS="2")
    assert error.message == "DRAY_WORKERS is '2', allowed: auto or 1"
    assert "cannot fork safely" in error.hint
    assert read_settings({"DRAY_WORKERS": "auto"})[0].workers == 1
