"""The port at which people open the page: taken at once or refused in words, and how it is called from outside."""

from __future__ import annotations

import errno
import socket

from adaptive_nerf.common.errors import BadUsage, Failure

WAITING_CALLERS = 128
EVERYWHERE = {"0.0.0.0", "::"}
SOMEWHERE_ELSE = ("192.0.2.1", 9)  # a documentation address; nothing is sent to it


class PortTaken(OSError, Failure):
    def __init__(self, host: str, port: int):
        super().__init__(errno.EADDRINUSE, "")
        self.told = (f"port {port} of {host} is taken by another program, perhaps by another page like this one; end "
                     f"it (./scripts/jobs.py list tells the jobs, ss -ltnp 'sport = :{port}' any program), or give "
                     f"this job another viewer_port")

    def __str__(self) -> str:
        return self.told


def listen(host: str, port: int) -> socket.socket:
    """Listens on exactly this port; 0 takes a free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                                                flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise BadUsage(f"viewer_host '{host}' is no address of this machine; give 0.0.0.0 for all of them, or "
                       f"127.0.0.1 for this machine alone") from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen(WAITING_CALLERS)
    except OSError as error:
        listening.close()
        raise _refusal(host, port, error) from error
    return listening


def _refusal(host: str, port: int, error: OSError) -> OSError | BadUsage:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(host, port)
    if error.errno == errno.EACCES:
        return BadUsage(f"viewer_port {port} is kept for the system administrator; give one above 1023")
    if error.errno == errno.EADDRNOTAVAIL:
        return BadUsage(f"viewer_host '{host}' is no address of this machine; give 0.0.0.0 for all of them, or "
                        f"127.0.0.1 for this machine alone")
    return error


def address_for_people(host: str, port: int) -> str:
    """http://host:port as another machine can open it, as far as that can be known here."""
    name = _outward_address() if host in EVERYWHERE else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def _outward_address() -> str:
    """The one by which this machine would call another; localhost where it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        try:
            caller.connect(SOMEWHERE_ELSE)
            return str(caller.getsockname()[0])
        except OSError:
            return "localhost"
