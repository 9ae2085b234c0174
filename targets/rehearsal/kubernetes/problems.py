"""Findings about one object, with the words of the real server."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from targets.rehearsal.kubernetes.errors import Cause

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE: Final = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_PORT: Final = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9](-?[a-z0-9])*")
_MAX_LABEL, _MAX_SUBDOMAIN = 63, 253

_SUBDOMAIN_WORDS: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_WORDS: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SERVICE_WORDS: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_WORDS: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
    "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NAME_WORDS: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@dataclass(slots=True)
class Problems:
    """What is wrong with an object so far."""

    causes: list[Cause] = field(default_factory=list)

    def required(self, path: str, why: str = "") -> None:
        """A value is missing."""
        self.causes.append(Cause("FieldValueRequired", f"Required value{f': {why}' if why else ''}", path))

    def invalid(self, path: str, value: Any, why: str) -> None:
        """A value is not allowed."""
        self.causes.append(Cause("FieldValueInvalid", f"Invalid value: {_quoted(value)}: {why}", path))

    def unsupported(self, path: str, value: Any, allowed: tuple[str, ...]) -> None:
        """A value is none of a few."""
        words = ", ".join(f'"{each}"' for each in allowed)
        message = f"Unsupported value: {_quoted(value)}: supported values: {words}"
        self.causes.append(Cause("FieldValueNotSupported", message, path))

    def duplicate(self, path: str, value: Any) -> None:
        """A name stands twice."""
        self.causes.append(Cause("FieldValueDuplicate", f"Duplicate value: {_quoted(value)}", path))

    def absent(self, path: str, value: Any) -> None:
        """It names something that is not there."""
        self.causes.append(Cause("FieldValueNotFound", f"Not found: {_quoted(value)}", path))

    def too_long(self, path: str, most: int) -> None:
        """It is longer than allowed."""
        self.causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {most} bytes", path))

    def prohibited(self, path: str, why: str) -> None:
        """It must not stand there."""
        self.causes.append(Cause("FieldValueForbidden", f"Forbidden: {why}", path))

    def one_of(self, path: str, value: Any, *allowed: str) -> None:
        """Holds it to a few values; one that is absent is fine."""
        if value is not None and value not in allowed:
            self.unsupported(path, value, allowed)

    def at_least(self, path: str, value: Any, least: int) -> None:
        """Holds a number to a bound; one that is absent is fine."""
        if value is not None and value < least:
            words = "must be greater than or equal to 0" if least == 0 else f"must be greater than or equal to {least}"
            self.invalid(path, value, words)

    def subdomain(self, path: str, name: str) -> None:
        """Most names."""
        if len(name) > _MAX_SUBDOMAIN:
            self.invalid(path, name, f"must be no more than {_MAX_SUBDOMAIN} characters")
        elif not _SUBDOMAIN.fullmatch(name):
            self.invalid(path, name, _SUBDOMAIN_WORDS)

    def label(self, path: str, name: str) -> None:
        """Names of namespaces, containers and volumes."""
        if len(name) > _MAX_LABEL:
            self.invalid(path, name, f"must be no more than {_MAX_LABEL} characters")
        elif not _LABEL.fullmatch(name):
            self.invalid(path, name, _LABEL_WORDS)

    def service_name(self, path: str, name: str) -> None:
        """Names of services."""
        if len(name) > _MAX_LABEL:
            self.invalid(path, name, f"must be no more than {_MAX_LABEL} characters")
        elif not _SERVICE.fullmatch(name):
            self.invalid(path, name, _SERVICE_WORDS)

    def labels(self, path: str, given: dict[str, str]) -> None:
        """Names and values of labels."""
        for name, value in given.items():
            self.qualified(path, name)
            if len(value) > _MAX_LABEL:
                self.invalid(path, value, f"must be no more than {_MAX_LABEL} characters")
            elif not _VALUE.fullmatch(value):
                self.invalid(path, value, _VALUE_WORDS)

    def qualified(self, path: str, name: str) -> None:
        """A name with or without a prefix, as labels and annotations have it."""
        prefix, slash, last = name.rpartition("/")
        if slash and not _SUBDOMAIN.fullmatch(prefix):
            self.invalid(path, name, f"prefix part {_SUBDOMAIN_WORDS}")
        if len(last) > _MAX_LABEL:
            self.invalid(path, name, f"name part must be no more than {_MAX_LABEL} characters")
        elif not _QUALIFIED.fullmatch(last):
            self.invalid(path, name, _NAME_WORDS)

    def port(self, path: str, value: Any) -> None:
        """A number from 1 to 65535."""
        if not isinstance(value, int) or not 0 < value < 1 << 16:
            self.invalid(path, value, "must be between 1 and 65535, inclusive")

    def port_name(self, path: str, name: str) -> None:
        """Of a container's port."""
        if not _PORT.fullmatch(name):
            words = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-), at most 15 of them"
            self.invalid(path, name, words)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
