"""``dray.yaml``: what a team repeats, validated by a published schema (docs/dray.schema.json)."""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packager.core.deployment import TargetSettings
from packager.core.errors import ConfigurationError
from runtime.contract.manifest import ModelName

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT_FILE = "dray.yaml"
# How the patterns of settings begin that take the name of a secret.
_REFERENCE = "^(env|file):"
_BRANCHES = ("literal[", "constrained-", "[key]")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageSection(_Section):
    """Where images go and what they are built for."""

    registry: Annotated[str, Field(description="registry and folder that images are pushed to")] | None = None
    platforms: Annotated[tuple[str, ...], Field(description="platforms such as linux/amd64 and linux/arm64")] = ()
    base: Annotated[str, Field(description="base image: a reference, an OCI layout or an archive")] | None = None


class TargetSection(BaseModel):
    """A named target: the plugin it uses, and that plugin's settings beside it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    target: Annotated[str, Field(description="the target plugin, as `dray targets` lists them")]

    @property
    def settings(self) -> dict[str, Any]:
        """The plugin's own settings."""
        return dict(self.model_extra or {})


class ProjectFile(_Section):
    """The whole file. Paths are relative to its folder."""

    name: Annotated[ModelName, Field(description="name of the model and of its deployment")] | None = None
    model: Annotated[str, Field(description="model file or folder")] | None = None
    samples: Annotated[str, Field(description="samples that parity is proven on")] | None = None
    image: ImageSection = ImageSection()
    targets: Annotated[Mapping[str, TargetSection], Field(description="named targets, for -t")] = {}


def load_project(path: Path | None) -> ProjectFile:
    """The project file at ``path``; without a path, ``dray.yaml`` here if there is one, else an empty project.

    Raises:
        ConfigurationError: Not there, not YAML, or a key or value that the schema does not know.
    """
    if path is None:
        path = Path(DEFAULT_FILE)
        if not path.is_file():
            return ProjectFile()
    document = _read_yaml(path)
    try:
        project = ProjectFile.model_validate(document)
    except ValidationError as error:
        raise _invalid(error, str(path), ProjectFile) from error
    base = Path(os.path.abspath(path)).parent
    located = {key: str(base / value) for key in ("model", "samples") if (value := getattr(project, key))}
    return project.model_copy(update=located)


def resolve_settings(
    settings_type: type[TargetSettings], configured: Mapping[str, Any], overrides: Sequence[str]
) -> TargetSettings:
    """A target's settings from the project file and the ``--set key=value`` that override it.

    Raises:
        ConfigurationError: Unknown key (with the nearest known one) or a value of the wrong type.
    """
    values = dict(configured)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ConfigurationError(f"not a setting: {override!r}", hint="write --set key=value")
        _put(values, key.split("."), _scalar(text), override)
    try:
        return settings_type.model_validate(values)
    except ValidationError as error:
        raise _invalid(error, "the target's settings", settings_type) from error


def project_schema(settings: Mapping[str, type[TargetSettings]]) -> dict[str, Any]:
    """JSON schema of ``dray.yaml``, with the settings of the given targets spelled out."""
    schema = ProjectFile.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    definitions.pop("TargetSection")
    variants = []
    for name, settings_type in sorted(settings.items()):
        own = settings_type.model_json_schema()
        definitions.update(own.pop("$defs", {}))
        own["properties"] = {"target": {"const": name}, **own.get("properties", {})}
        own["required"] = ["target", *own.get("required", [])]
        own["title"] = f"target {name}"
        variants.append(own)
    schema["properties"]["targets"]["additionalProperties"] = {"oneOf": variants}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "dray.yaml"}


def _read_yaml(path: Path) -> Any:
    import yaml  # kept out of start-up

    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(text) or {}
    except FileNotFoundError as error:
        raise ConfigurationError(f"no such file: {str(path)!r}", hint="-f names the project file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {str(path)!r}: {error}") from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}, column {place.column + 1}" if place else ""
        raise ConfigurationError(
            f"{str(path)!r} is not YAML{where}: {getattr(error, 'problem', None) or 'cannot be read'}",
            hint="check quotes and indentation there",
        ) from error


def _scalar(text: str) -> Any:
    import yaml  # kept out of start-up

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _put(values: dict[str, Any], path: Sequence[str], value: Any, override: str) -> None:
    *parents, last = path
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(f"--set {override!r} reaches into {parent!r}, which holds {inner!r}")
        values = inner
    values[last] = value


def _invalid(error: ValidationError, where: str, model: type[BaseModel]) -> ConfigurationError:
    every = error.errors(include_url=False)
    first = every[0]
    location = _location(first)
    if first["type"] == "extra_forbidden":
        keys = _keys_at(model, first["loc"][:-1])
        known = nearest(str(first["loc"][-1]), keys)
        return ConfigurationError(
            f"unknown key {location!r} in {where}",
            hint=f"did you mean {known!r}?" if known else f"known keys: {', '.join(keys)}",
            detail={"key": location, "nearest": known},
        )
    detail, hint = {"key": location}, _how_to_write(first, location)
    said = " or ".join(dict.fromkeys(_words(each) for each in every if _location(each) == location))
    if str((first.get("ctx") or {}).get("pattern", "")).startswith(_REFERENCE):
        message = f"{location!r} in {where} takes a reference, and not the secret itself"
        return ConfigurationError(message, hint="write env:VARIABLE or file:PATH", detail=detail)
    if first["type"] == "value_error":  # of several keys together; the values of the others may be anything
        return ConfigurationError(f"{where} cannot be: {said}", hint=hint, detail=detail)
    given = "" if first["type"].endswith(("mapping_type", "dict_type")) else f" {first.get('input')!r}"
    return ConfigurationError(f"{location!r} in {where} cannot be{given}: {said}", hint=hint, detail=detail)


def _how_to_write(error: "ErrorDetails", location: str) -> str:
    """What now, for a value of the wrong type: how one of the right type is written."""
    kind, given = error["type"], error.get("input")
    if kind in ("tuple_type", "list_type"):
        return f"write a list: --set '{location}=[A, B]', and [A, B] in {DEFAULT_FILE}"
    if kind in ("mapping_type", "dict_type", "model_type"):
        return f"write what it holds: --set {location}.KEY=VALUE"
    if kind == "string_type" and isinstance(given, bool | int | float):
        return f"quote what is a text and would be read as something else: --set '{location}=\"TEXT\"'"
    return "docs/reference.md lists every key and what it may hold, or names the page that does"


def _location(error: "ErrorDetails") -> str:
    """The key, without what pydantic adds: which branch of a union it tried, and that a key was meant."""
    parts = [str(part) for part in error["loc"]]
    return ".".join(part for part in parts if not part.startswith(_BRANCHES)) or "the document"


def _words(error: "ErrorDetails") -> str:
    """A message of pydantic's in the house's style; what it quotes stays as it is."""
    said = error["msg"].removeprefix("Value error, ")
    return said if error["type"] == "value_error" else f"{said[:1].lower()}{said[1:]}"


def _keys_at(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Field names of the section at ``location``, so that the nearest is looked for where the typo stands."""
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        choices = (annotation, *get_args(annotation))  # of one that may be left out
        inner = next((each for each in choices if isinstance(each, type) and issubclass(each, BaseModel)), None)
        if inner is None:
            break
        model = inner
    return list(model.model_fields)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was probably meant to be."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None
