"""``doctor``: what it says of clouds, without asking them."""

import json

import pytest

from packager.cli import commands_machine
from packager.cli.run import run


def azure_account(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert run(["doctor", "-o", "json"]) == 0
    checks = json.loads(capsys.readouterr().out)["optional"]
    return next(check for check in checks if check["name"] == "azure account")


def test_token_of_the_environment_is_named_and_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_ACCESS_TOKEN", "s3cret-token")

    assert azure_account(capsys) == {
        "name": "azure account", "ok": True, "found": "the token in AZURE_ACCESS_TOKEN", "cure": "",
    }  # fmt: skip


@pytest.mark.parametrize(("absent", "ok"), [((), True), (("azure-identity>=1.19",), False)])
def test_account_is_not_asked_for_over_the_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...], ok: bool
) -> None:
    monkeypatch.delenv("AZURE_ACCESS_TOKEN", raising=False)
    monkeypatch.setattr(commands_machine, "missing_from", lambda extra: absent if extra == "azure" else ())
    monkeypatch.setattr("packager.core.credentials_azure.azure_account_token", lambda: pytest.fail("asked"))

    check = azure_account(capsys)

    assert check["ok"] is ok
    assert bool(check["cure"]) is not ok


@pytest.mark.parametrize("absent", [(), ("make",)])
def test_programs_that_an_extra_calls_are_looked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...]
) -> None:
    monkeypatch.setattr(commands_machine, "missing_programs", lambda extra: absent)
    assert run(["doctor", "-o", "json"]) == 0
    checks = json.loads(capsys.readouterr().out)["optional"]
    found = next(check for check in checks if check["name"] == "fpga: programs")
    assert found["ok"] is not bool(absent)
    assert found["found"] == ("without make" if absent else "perl, make, g++")
