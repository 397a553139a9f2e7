"""Whether a cluster listens, before its own client tries for a minute and longer."""

from __future__ import annotations

import socket

_SECONDS = 5.0


def refused(address: str) -> OSError | None:
    """Why nobody listens at an address.

    Args:
      address: `host:port`.

    Returns:
      What went wrong; None where somebody does.

    Example:
        >>> refused("127.0.0.1:1")
        ConnectionRefusedError(111, 'Connection refused')
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except OSError as error:
        return error
    return None
