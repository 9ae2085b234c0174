"""Write an OCI layout of a Python base image for amd64 and arm64, from Debian packages alone: ``make base``.

    python tools/make_base.py [--out .cache/base/layout] [--platform linux/amd64 --platform linux/arm64]

Packages are unpacked, never installed: no maintainer script runs, so that any architecture is made on any machine,
without root, container engine or emulation. What the scripts would have done and a Python needs is done here: merged
/usr, the bundle of certificates, users, compiled modules. The same packages give the same bytes.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from debian_packages import DebianArchive, fields_of, files_of

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "base"
# Counted up when this file makes other bytes of the same packages.
FORMAT = 1
NONROOT = 65532
LIBRARIES = (
    "libbz2-1.0", "libc6", "libcrypt1", "libexpat1", "libffi8", "libgcc-s1", "liblzma5", "libsqlite3-0", "libssl3",
    "libstdc++6", "libuuid1", "zlib1g",
)  # fmt: skip
PACKAGES = (*LIBRARIES, "base-files", "ca-certificates", "gcc-12-base", "media-types", "netbase")
# Folders and files that nothing at run time reads. lib-dynload: modules whose libraries are left out.
PRUNED = (
    "usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/lintian/", "usr/share/info/", "usr/share/bug/",
    "usr/share/doc-base/", "usr/share/binfmts/", "usr/share/applications/", "usr/share/pixmaps/", "usr/share/base-files/",
    "usr/lib/{gconv}/gconv/", "usr/share/common-licenses/", "etc/update-motd.d/", "etc/init.d/", "usr/sbin/",
    "usr/lib/python3.{minor}/idlelib/", "usr/lib/python3.{minor}/lib2to3/", "usr/lib/python3.{minor}/pydoc_data/",
    "usr/lib/python3.{minor}/lib-dynload/_curses", "usr/lib/python3.{minor}/lib-dynload/_dbm",
    "usr/lib/python3.{minor}/lib-dynload/nis", "usr/lib/python3.{minor}/lib-dynload/readline", "usr/share/python3/",
)  # fmt: skip
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
FOLDERS = {
    "tmp": 0o1777,
    "var/tmp": 0o1777,
    "home/nonroot": 0o700,
    "proc": 0o755,
    "sys": 0o755,
    "dev": 0o755,
    "run": 0o755,
}
PASSWD = f"root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:{NONROOT}:{NONROOT}:nonroot:/home/nonroot:/sbin/nologin\n"
GROUP = f"root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:{NONROOT}:\n"
TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
LAYER, CONFIG = "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.config.v1+json"
MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"

Entries = dict[str, tuple[tarfile.TarInfo, bytes]]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=CACHE / "layout")
    options.add_argument("--platform", action="append", choices=[f"linux/{name}" for name in TRIPLETS])
    given = options.parse_args()
    architectures = sorted({name.partition("/")[2] for name in given.platform or ()} or TRIPLETS)
    archives = {name: DebianArchive(name, CACHE / f"apt-{name}") for name in architectures}
    for archive in archives.values():
        archive.refresh()
    minor = python_minor(archives[architectures[0]])
    names = (*PACKAGES, *(f"{kind}3.{minor}-{part}" for kind, part in
                          (("python", "minimal"), ("libpython", "minimal"), ("libpython", "stdlib"))))  # fmt: skip
    key = content_key(minor, [name for archive in archives.values() for name in archive.versions(names)])
    if key_of(given.out) == key:
        print(f"{given.out} is up to date (Python 3.{minor}, {key[:12]})")
        return
    layout = Layout()
    for architecture, archive in archives.items():
        layout.add(architecture, minor, tree(architecture, minor, archive.download(names)), key)
    layout.write(given.out, key)


def python_minor(archive: DebianArchive) -> int:
    """The minor version of the release's Python."""
    [package] = [path for path in archive.download(["python3-minimal"]) if path.name.startswith("python3-minimal_")]
    return int(package.name.split("_")[1].split(".")[1])


def content_key(minor: int, packages: list[str]) -> str:
    return hashlib.sha256(json.dumps([FORMAT, minor, epoch(), packages]).encode()).hexdigest()


def key_of(out: Path) -> str | None:
    index = out / "index.json"
    return json.loads(index.read_bytes())["annotations"].get("dray.base.key") if index.exists() else None


def epoch() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


def tree(architecture: str, minor: int, packages: list[Path]) -> Entries:
    """All files of the base, by path."""
    entries: Entries = {}
    pruned = tuple(part.format(gconv=TRIPLETS[architecture], minor=minor) for part in PRUNED)
    for package in packages:
        with tarfile.open(fileobj=io.BytesIO(files_of(package))) as archive:
            for member in archive:
                path = merged(member.name.removeprefix("./").rstrip("/"))
                if path and not f"{path}/".startswith(pruned):
                    content = archive.extractfile(member) if member.isreg() else None
                    entries[path] = (member, content.read() if content else b"")
        add(entries, f"var/lib/dpkg/status.d/{package.name.partition('_')[0]}", fields_of(package).encode())
    resolve_hard_links(entries)
    add_what_scripts_do(entries, minor)
    compile_modules(entries, minor)
    return entries


def merged(path: str) -> str:
    """Where a path lies in a merged /usr."""
    top, _, rest = path.partition("/")
    return f"usr/{top}/{rest}".rstrip("/") if top in MERGED else path


def resolve_hard_links(entries: Entries) -> None:
    for path, (member, _) in list(entries.items()):
        if member.islnk():
            original, content = entries[merged(member.linkname.removeprefix("./"))]
            member.type, member.linkname, member.mode = tarfile.REGTYPE, "", original.mode
            entries[path] = (member, content)


def add_what_scripts_do(entries: Entries, minor: int) -> None:
    """Merged /usr, users, certificates, and the names by which Python is known."""
    for top in MERGED:
        if any(path.startswith(f"usr/{top}/") for path in entries) or top in ("bin", "sbin"):
            link(entries, top, f"usr/{top}")
    for path, mode in FOLDERS.items():
        owner = NONROOT if path == "home/nonroot" else 0
        add(entries, path, b"", mode=mode, kind=tarfile.DIRTYPE, owner=owner)
    add(entries, "usr/sbin", b"", mode=0o755, kind=tarfile.DIRTYPE)
    certificates = sorted(
        path for path in entries if path.startswith("usr/share/ca-certificates/") and path.endswith(".crt")
    )
    add(
        entries,
        "etc/ssl/certs/ca-certificates.crt",
        b"".join(entries[path][1].rstrip() + b"\n" for path in certificates),
    )
    for path in certificates:
        del entries[path]
    add(entries, "etc/passwd", PASSWD.encode())
    add(entries, "etc/group", GROUP.encode())
    add(entries, "etc/nsswitch.conf", b"hosts: files dns\n")
    link(entries, "usr/bin/python3", f"python3.{minor}")
    link(entries, "usr/bin/python", "python3")
    link(entries, "var/run", "/run")


def compile_modules(entries: Entries, minor: int) -> None:
    """The standard library's compiled modules, which a read-only container could not keep; never checked against source."""
    python = shutil.which(f"python3.{minor}") or (sys.executable if sys.version_info[:2] == (3, minor) else None)
    if python is None:
        raise SystemExit(f"compiling the base's modules takes a Python 3.{minor}: uv python install 3.{minor}")
    prefix = f"usr/lib/python3.{minor}/"
    sources = [path for path in entries if path.startswith(prefix) and path.endswith(".py")]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in sources:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(entries[path][1])
        subprocess.run(
            [python, "-m", "compileall", "-q", "-f", "-j", "1", "--invalidation-mode", "unchecked-hash",
             "-s", str(root), "-p", "/", str(root / prefix)],
            check=True, env={"PYTHONHASHSEED": "0", "PATH": os.environ["PATH"]}, timeout=600,
        )  # fmt: skip
        for compiled in sorted(root.rglob("*.pyc")):
            add(entries, str(compiled.relative_to(root)), compiled.read_bytes())


def add(
    entries: Entries, path: str, content: bytes, *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, owner: int = 0
) -> None:
    member = tarfile.TarInfo(path)
    member.type, member.mode, member.uid, member.gid, member.size = kind, mode, owner, owner, len(content)
    entries[path] = (member, content)


def link(entries: Entries, path: str, target: str) -> None:
    add(entries, path, b"", mode=0o777, kind=tarfile.SYMTYPE)
    entries[path][0].linkname = target


def layer_of(entries: Entries) -> bytes:
    """The files as one tar archive: sorted, every folder named, owners by number, one time."""
    folders = {str(parent) for path in entries for parent in Path(path).parents} - {"."}
    for folder in folders - entries.keys():
        add(entries, folder, b"", mode=0o755, kind=tarfile.DIRTYPE)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, (member, content) in sorted(entries.items()):
            plain = tarfile.TarInfo(path)
            plain.type, plain.linkname, plain.mode, plain.mtime = member.type, member.linkname, member.mode, epoch()
            owner = member.uid if member.uid == NONROOT else 0
            plain.uid, plain.gid, plain.size = owner, owner, len(content)
            archive.addfile(plain, io.BytesIO(content))
    return stream.getvalue()


class Layout:
    """An OCI layout in the making."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: list[dict[str, object]] = []

    def add(self, architecture: str, minor: int, entries: Entries, key: str) -> None:
        archive = layer_of(entries)
        packed = gzip.compress(archive, compresslevel=9, mtime=0)
        config = {
            "architecture": architecture,
            "os": "linux",
            "created": moment(),
            "config": {
                "Env": [
                    "PATH=/usr/local/bin:/usr/bin:/bin",
                    "LANG=C.UTF-8",
                    "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
                ],
                "Entrypoint": ["/usr/bin/python3"],
                "User": str(NONROOT),
                "WorkingDir": "/home/nonroot",
                "Labels": {"org.opencontainers.image.title": f"Python 3.{minor} of Debian packages"},
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(archive)]},
            "history": [{"created": moment(), "created_by": "make base", "comment": key[:12]}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(CONFIG, as_json(config)),
            "layers": [self.blob(LAYER, packed)],
        }
        entry = {**self.blob(MANIFEST, as_json(manifest)), "platform": {"architecture": architecture, "os": "linux"}}
        self.manifests.append(entry)
        print(f"linux/{architecture}: {len(packed) / 1e6:.1f} MB compressed, {len(archive) / 1e6:.1f} MB on disk")

    def blob(self, media_type: str, content: bytes) -> dict[str, object]:
        self.blobs[digest(content)] = content
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}

    def write(self, out: Path, key: str) -> None:
        """Whole or not at all: written beside, then moved into place."""
        out.parent.mkdir(parents=True, exist_ok=True)
        index = as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests})
        top = {**self.blob(INDEX, index), "annotations": {"org.opencontainers.image.ref.name": "latest"}}
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".base-") as folder:
            made = Path(folder) / "layout"
            (made / "blobs" / "sha256").mkdir(parents=True)
            for name, content in self.blobs.items():
                (made / "blobs" / "sha256" / name.removeprefix("sha256:")).write_bytes(content)
            (made / "oci-layout").write_bytes(as_json({"imageLayoutVersion": "1.0.0"}))
            listing = {
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": [top],
                "annotations": {"dray.base.key": key},
            }
            (made / "index.json").write_bytes(as_json(listing))
            if out.exists():
                out.rename(Path(folder) / "old")
            made.rename(out)
        print(f"{out}@{digest(index)}")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def as_json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def moment() -> str:
    return datetime.fromtimestamp(epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    main()
