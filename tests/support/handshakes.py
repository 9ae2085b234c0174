"""Clients a long way off: what ends their handshakes does not arrive."""

import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26
# Of a TCP segment: byte 13 holds its flags; the whole segment passes only without ACK.
_WITHOUT_ACK = ((0x30, 0, 0, 13), (0x45, 1, 0, 0x10), (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0))


def hold_up_handshakes(listener: socket.socket) -> None:
    """Clients are answered, and their last word is not heard until another filter is attached."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _WITHOUT_ACK))
    program = struct.pack("HP", len(_WITHOUT_ACK), ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
