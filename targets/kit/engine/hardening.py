"""What a container of the runtime may do on an engine: serve, and write to ``/tmp``, and nothing else.

Source: the Docker Engine API 1.41, "Create a container", ``HostConfig``.
"""

from typing import Any, Final

# The user of the image. Source: the spec of the container.
USER: Final = "65532:65532"
_MIB: Final = 1 << 20
_PROCESSES: Final = 1024


def restrictions(*, tmp_mib: int, log_files: int) -> dict[str, Any]:
    """Of its ``HostConfig``.

    Args:
        tmp_mib: Size of ``/tmp``.
        log_files: Of 10 MB each, that the engine keeps of what it writes.
    """
    return {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={tmp_mib}m,mode=1777"},  # noqa: S108 - its own
        "PidsLimit": _PROCESSES,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": str(log_files)}},
    }


def limits(cpus: float | None, memory_mib: int | None) -> dict[str, int]:
    """Of its ``HostConfig``; None for no limit."""
    size = (memory_mib or 0) * _MIB
    # The same with swap: a model that swaps answers too late, and nobody sees why.
    memory = {"Memory": size, "MemorySwap": size} if size else {}
    return {**({"NanoCpus": round(cpus * 1e9)} if cpus else {}), **memory}
