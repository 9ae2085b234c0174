"""An image for another processor, run here: unpacked from its layout, under QEMU in a changed root, without binfmt."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from packager.core.image import Platform
from packager.image.blobs import descriptor_of
from packager.image.transfer import Layout
from tests.support.absent import absent
from tests.support.servers import RunningServer, free_port

EMULATORS = {"arm64": "qemu-aarch64-static"}
# The field e_machine of an ELF header. Source: elf.h.
MACHINES = {"amd64": 62, "arm64": 183}
READY_S = 120


def require_emulator(architecture: str) -> str:
    """The path of the emulator."""
    if os.geteuid() != 0:
        absent("only root can change the root folder, as running another processor's image takes")
    path = shutil.which(EMULATORS[architecture])
    return path or absent(f"{EMULATORS[architecture]} is not installed here")


def unpack_image(layout: Path, platform: Platform, root: Path) -> dict[str, Any]:
    """Unpack an image's layers into a folder, and return its configuration."""
    source = Layout(layout)
    index = source.manifest(source.top())
    entries = [descriptor_of(entry) for entry in index.document["manifests"]]
    [entry] = [each for each in entries if each.platform == platform]
    manifest = source.manifest(entry).document
    for layer in manifest["layers"]:
        with tarfile.open(source.blob_path(layer["digest"])) as archive:
            # Made by ourselves a moment ago; as an attribute, for Pythons that do not know filters yet.
            archive.extraction_filter = lambda member, path: member
            archive.extractall(root, numeric_owner=True)
    config: dict[str, Any] = json.loads(source.blob_path(manifest["config"]["digest"]).read_bytes())
    return config


def machines_of(root: Path) -> dict[int, list[Path]]:
    """Every ELF file below a folder, by the processor that its header names."""
    found: dict[int, list[Path]] = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                head = stream.read(20)
            if head[:4] == b"\x7fELF":
                found.setdefault(int.from_bytes(head[18:20], "little"), []).append(path)
    return found


@contextmanager
def running_emulated(root: Path, config: dict[str, Any], architecture: str, log: Path) -> Iterator[RunningServer]:
    """The entry point of an unpacked image, ready, killed at the end of the block."""
    emulator = require_emulator(architecture)
    shutil.copy(emulator, root / "emulator")
    port = free_port()
    made = config["config"]
    environment = dict(entry.split("=", 1) for entry in made.get("Env") or ())
    # One process: a second one would be started by the kernel, which knows no emulator here.
    settings = {"DRAY_HOST": "127.0.0.1", "DRAY_PORT": str(port), "DRAY_THREADS": "1", "DRAY_WORKERS": "1"}
    chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or absent("chroot is not installed here")
    argv = [chroot, str(root), "/emulator", *(made.get("Entrypoint") or []), *(made.get("Cmd") or [])]
    with log.open("wb") as stream:
        process = subprocess.Popen(argv, env={**environment, **settings}, stderr=stream, stdout=stream)
    server = RunningServer(process, port, log)
    try:
        server.wait_for_state("ready", timeout_s=READY_S)
        yield server
    finally:
        process.kill()
        process.wait()
