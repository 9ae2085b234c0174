"""How the user's own tools reach a rehearsal's cluster: a kubeconfig beside the stand-in's token."""

import base64
import os
from pathlib import Path
from typing import Any, Final

import yaml

from targets.rehearsal.layout import StageFacts, StageFolder

FILE: Final = "kubeconfig"
_NAME: Final = "dray-rehearsal"


def kubeconfig_of(facts: StageFacts, folder: StageFolder) -> dict[str, Any]:
    """The document; it holds the token."""
    authority = base64.b64encode(folder.ca_file.read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": _NAME, "cluster": {"server": facts.api, "certificate-authority-data": authority}},
        ],
        "users": [{"name": _NAME, "user": {"token": folder.token()}}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME, "namespace": "default"}}],
        "current-context": _NAME,
    }


def write_kubeconfig(facts: StageFacts, folder: StageFolder) -> Path:
    """Write it for this user alone, as ``kubeconfig`` in the stand-in's folder; where it is."""
    path = folder.path / FILE
    content = yaml.safe_dump(kubeconfig_of(facts, folder), sort_keys=False).encode()
    temporary = path.with_name(f".{FILE}-{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    temporary.replace(path)
    return path
