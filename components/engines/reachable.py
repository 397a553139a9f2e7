"""Whether a cluster listens, before its own client tries for a minute, and how it sees us."""

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
    try:
        _connected(address).close()
    except OSError as error:
        return error
    return None


def own_host(address: str) -> str:
    """This machine's address as whoever listens at another one sees it.

    Args:
      address: `host:port` of where somebody listens.

    Raises:
      OSError: Nobody does.
    """
    with _connected(address) as connection:
        host: str = connection.getsockname()[0]
    return f"[{host}]" if ":" in host else host


def _connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), _SECONDS)
