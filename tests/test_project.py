import json
from pathlib import Path

import jsonschema
import pytest

from packager import plugins
from packager.core.errors import ConfigurationError
from packager.project import ProjectFile, load_project, project_schema, resolve_settings
from targets.aci.settings import AciSettings
from targets.aks import AksSettings
from targets.local.settings import LocalSettings

GOOD = """
name: churn
model: models/churn.joblib
samples: data/held-out.csv
image:
  registry: registry.example/team
  platforms: [linux/amd64, linux/arm64]
targets:
  staging:
    target: local
    port: 8081
"""


def project(tmp_path: Path, text: str) -> ProjectFile:
    path = tmp_path / "dray.yaml"
    path.write_text(text)
    return load_project(path)


def published_schema() -> dict[str, object]:
    return json.loads((Path(__file__).parent.parent / "docs" / "dray.schema.json").read_text())


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    loaded = project(tmp_path, GOOD)

    assert loaded.model == str(tmp_path / "models/churn.joblib")
    assert loaded.samples == str(tmp_path / "data/held-out.csv")


def test_a_named_target_carries_the_plugin_and_its_settings(tmp_path: Path) -> None:
    staging = project(tmp_path, GOOD).targets["staging"]

    assert staging.target == "local"
    assert staging.settings == {"port": 8081}


def test_without_a_file_the_project_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert load_project(None) == ProjectFile()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("modle: m.joblib", "unknown key 'modle'", "'model'"),
        ("image: {registy: r}", "unknown key 'image.registy'", "'registry'"),
        ("targets: {staging: {port: 1}}", "'targets.staging.target'", ""),
        ("name: 'not a name'", "'name'", ""),
        ("model: [1", "not YAML", "quotes"),
        ("- a list", "the document", ""),
    ],
)
def test_a_file_that_breaks_the_schema_names_key_and_cure(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        project(tmp_path, text)

    assert caught.value.code == "E-CONFIG"
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no such file: .*absent\.yaml"):
        load_project(tmp_path / "absent.yaml")


def test_set_overrides_the_file() -> None:
    settings = resolve_settings(LocalSettings, {"port": 8081}, ["port=8082", "host=127.0.0.1"])

    assert isinstance(settings, LocalSettings)
    assert settings.port == 8082


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("prot=1", "unknown key 'prot'", "'port'"),
        ("port=many", "'port'", ""),
        ("port", "not a setting", "key=value"),
        ("=1", "not a setting", "key=value"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(override: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_settings(LocalSettings, {}, [override])

    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("restart_policy=Sometimes", "cannot be 'Sometimes': input should be 'Always', 'OnFailure' or 'Never'"),
        ("env.DRAY_PORT=9", "the target's settings cannot be: DRAY_PORT is the runtime's: it has a setting of its own"),
        ("workers=0", "'workers' in the target's settings cannot be 0: input should be greater than or equal to 1 or"),
        ("subnet_ids=x", "/resource[gG]roups/"),
        ("tags.a<b=c", "'tags.a<b' in the target's settings cannot be 'a<b'"),
    ],
)
def test_a_refusal_says_what_may_be_written_letter_by_letter(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_settings(AciSettings, {}, [override])

    assert message in caught.value.message


@pytest.mark.parametrize(
    "override", ["api_keys=hush-42", "secure_env.DB=hush-42", "secure_env=hush-42", "tls_key=hush-42"]
)
def test_a_secret_that_was_written_where_its_reference_belongs_is_not_shown(override: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_settings(AciSettings, {"tls_cert": "hush-42-too"} if "tls" in override else {}, [override])

    assert "hush" not in json.dumps(caught.value.as_dict())
    assert "reference" in caught.value.message or "dictionary" in caught.value.message


def test_the_published_schema_is_the_one_of_the_code() -> None:
    settings = {name: target.settings_type for name, target in plugins.targets().items()}

    assert published_schema() == project_schema(settings), "run `make schema`"


def test_the_published_schema_takes_the_example_and_refuses_a_typo() -> None:
    import yaml

    schema = published_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"modle": "x"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"targets": {"staging": {"target": "local", "prot": 1}}}, schema)


@pytest.mark.parametrize("given", ["api_keys=hunter2", "secure_env.A=hunter2", "log_analytics.key=hunter2"])
def test_a_secret_in_the_place_of_a_reference_is_not_repeated(given: str) -> None:
    from targets.aci import AciSettings

    with pytest.raises(ConfigurationError) as caught:
        resolve_settings(AciSettings, {"log_analytics": {"workspace": "0" * 36, "key": "env:K"}}, [given])

    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}{caught.value.detail}"
    assert "env:VARIABLE" in caught.value.hint


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("autoscale.triggers=cron", "--set 'autoscale.triggers=[A, B]'"),
        ("autoscale=true", "--set autoscale.KEY=VALUE"),
        ("env=A", "--set env.KEY=VALUE"),
        ("namespace=12", "--set 'namespace=\"TEXT\"'"),
        ("autoscale.mini=1", "did you mean 'min'?"),
        ("autoscale.zzz=1", "known keys: min, max, cpu_percent, triggers"),
    ],
)
def test_hint_says_how_what_was_meant_is_written(override: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_settings(AksSettings, {}, [override])

    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "overrides",
    [
        ["cpu_millicores=2000", "cpu_limit_millicores=1000"],
        ["gateway=shared"],
        ["ingress_class=nginx", "route=gateway"],
        ["network_policy=false", "allow_from=web"],
    ],
)
def test_setting_that_could_have_no_effect_beside_another_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=overrides[0].split("=")[0]):
        resolve_settings(AksSettings, {}, overrides)


def test_settings_that_contradict_each_other_are_told_in_one_line() -> None:
    from targets.aci import AciSettings

    with pytest.raises(
        ConfigurationError, match=r"^the target.s settings cannot be: tls_cert and tls_key go together$"
    ):
        resolve_settings(AciSettings, {}, ["tls_cert=file:/c"])
