"""What the child process of a conversion can no longer do: reach the network, other processes, or files of yours.

Linux only, without privileges or other programs: Landlock for files and signals, seccomp for sockets and for leaving
the process group. Both are inherited by everything that the child starts, and cannot be taken back. Where the kernel
has one of them it must take effect, or the conversion stops; where it has not, ``protections`` says so.

Sources: landlock(7), seccomp(2), capabilities(7), and include/uapi/linux/{landlock,seccomp,audit}.h of the kernel.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PR_GET_SECCOMP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 21, 22, 38
_SECCOMP_MODE_FILTER = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULESET_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
_READING = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE | _READ_FILE | _TRUNCATE
# By version of Landlock, the last of the rights that it knows.
_LAST_RIGHT = {1: 12, 2: 13, 3: 14, 4: 14}
_IOCTL_DEV = 15
_SCOPES_SINCE, _SCOPES = 6, 0b11  # abstract sockets, signals

_CAPABILITY_VERSION = 0x20080522
_KEPT_CAPABILITIES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: files that belong to other users

_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/proc", "/sys", "/nix/store", "/etc/alternatives",
    "/etc/group", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/locale.alias", "/etc/localtime",
    "/etc/mime.types", "/etc/nsswitch.conf", "/etc/os-release", "/etc/passwd", "/etc/timezone",
)  # fmt: skip
_DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/shm", "/dev/urandom", "/dev/zero")  # noqa: S108 - not for files

# Numbers of system calls: sockets and what makes them, other processes' memory, and leaving the group that is killed.
_DENIED = {
    "x86_64": {
        "socket": 41, "ptrace": 101, "setpgid": 109, "setsid": 112, "process_vm_readv": 310, "process_vm_writev": 311,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "pidfd_getfd": 438,
    },
    "aarch64": {
        "ptrace": 117, "setpgid": 154, "setsid": 157, "socket": 198, "process_vm_readv": 270, "process_vm_writev": 271,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "pidfd_getfd": 438,
    },
}  # fmt: skip
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCH = 0, 4  # places in struct seccomp_data


@dataclass(frozen=True, slots=True)
class Protection:
    """One thing that a closed-off process cannot do.

    Attributes:
        what: As a person says it.
        how: What keeps it, or why nothing does.
    """

    what: str
    holds: bool
    how: str


def protections() -> tuple[Protection, ...]:
    """What holds on this machine."""
    landlock, filters = _landlock_version(), _has_filters()
    absent = "" if sys.platform == "linux" else f"{platform.system()} has nothing of the kind without privileges"
    files = f"Landlock {landlock}" if landlock else absent or "this kernel has no Landlock, or its use is forbidden"
    network = "seccomp" if filters else absent or f"no seccomp filter for {platform.machine()} here"
    return (
        Protection("no network", filters, network),
        Protection("no files of yours", landlock > 0, files),
        Protection("bounded memory and time", True, "resource limits"),
    )


def described() -> str:
    """The same in one line, for the certificate of a model that was trusted."""
    parts = protections()
    held = ", ".join(f"{part.what} ({part.how})" for part in parts if part.holds)
    lacking = ", ".join(f"{part.what} ({part.how})" for part in parts if not part.holds)
    return f"loaded in a closed-off process: {held}" + (f"; not kept here: {lacking}" if lacking else "")


def confine(*, reads: Iterable[Path], writes: Sequence[Path]) -> None:
    """Give up, in this process and all that it starts, everything but these files, for ever.

    Args:
        reads: Files and folders to read, beside Python, its libraries and what describes the system.
        writes: Folders to write to.

    Raises:
        OSError: The kernel has the means and refused to use them.
    """
    version, filters = _landlock_version(), _has_filters()
    if not (version or filters):
        return
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _drop_privileges()
    if version:
        _limit_files(version, [*map(Path, _SYSTEM), *_of_python(), *reads], writes)
    if filters:
        _deny_calls()


def _drop_privileges() -> None:
    """Of root's capabilities, keep those that open files; CAP_PERFMON, say, reads the memory of other processes."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
    held = ctypes.create_string_buffer(struct.calcsize("=6I"))
    _call("capget", header, held)
    kept = [value & (_KEPT_CAPABILITIES if index < 3 else 0) for index, value in enumerate(struct.unpack("=6I", held))]
    _call("capset", header, ctypes.create_string_buffer(struct.pack("=6I", *kept)))


def _limit_files(version: int, reads: Iterable[Path], writes: Sequence[Path]) -> None:
    last = _LAST_RIGHT.get(version, _IOCTL_DEV)
    handled = (1 << (last + 1)) - 1
    attributes = struct.pack("=QQQ", handled, 0, _SCOPES) if version >= _SCOPES_SINCE else struct.pack("=Q", handled)
    ruleset = _system_call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in reads:
            _allow(ruleset, path, _READING & handled)
        for path in map(Path, _DEVICES):
            _allow(ruleset, path, handled & ~_EXECUTE)
        for path in writes:
            _allow(ruleset, path, handled)
        _system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """What is not there needs no right."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not path.is_dir():
            rights &= _OF_FILES
        _system_call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _of_python() -> set[Path]:
    """Where this interpreter, and everything that it can import, lies."""
    named = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path]
    named += os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    # Links lead elsewhere: into the folder of dray's code, or from an environment's Python to the real one.
    named += [
        sys.executable,
        *(getattr(sys.modules.get(name), "__file__", None) or "" for name in ("packager", "runtime")),
    ]
    found = {Path(name) for name in named if name}
    found |= {Path(os.path.realpath(path)) for path in found}
    return {path.parent if path.name == "__init__.py" else path for path in found if path != Path("/")}


def _deny_calls() -> None:
    """A filter that answers EPERM to the calls in the list, and to all calls of another architecture."""
    machine = platform.machine()
    denied = sorted(_DENIED[machine].values())
    refuse = len(denied) + 1
    program = [(_LOAD, 0, 0, _ARCH), (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    program += [(_LOAD, 0, 0, _NUMBER), (_JUMP_AT_LEAST, refuse, 0, _X32_BIT)]
    program += [(_JUMP_EQUAL, refuse - 1 - index, 0, number) for index, number in enumerate(denied)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    filters = Program(len(program), ctypes.addressof(code))
    _call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filters), 0, 0)


def _landlock_version() -> int:
    """0 where there is none."""
    if sys.platform != "linux":
        return 0
    found: int = _libc().syscall(_CREATE_RULESET, None, 0, _RULESET_VERSION)
    return max(0, found)


def _has_filters() -> bool:
    if sys.platform != "linux" or platform.machine() not in _DENIED:
        return False
    library = _libc()
    if library.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) < 0:
        return False
    # With a filter at no address: a kernel that knows filters says that the address is wrong.
    library.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, None, 0, 0)
    return ctypes.get_errno() in {errno.EFAULT, errno.EACCES}


def _system_call(number: int, *arguments: Any) -> int:
    return _call("syscall", number, *arguments)


def _call(name: str, *arguments: Any) -> int:
    result: int = getattr(_libc(), name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments[:1]}: {os.strerror(number)}")
    return result


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
