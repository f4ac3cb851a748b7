"""Who is let in: the key of a job's page, and whether a request means this machine and comes from our own page.

Pure, but for the key's file. Keys are compared in constant time, and never written to a log.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from adaptive_nerf.common.hosts import is_number
from adaptive_nerf.common.run_progress import write_private

KEY_FILE, KEY = "viewer_key", re.compile(r"[A-Za-z0-9_-]{43}")
HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
KEY_IN_TEXT = re.compile(r"token=([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")
LONGEST_TEXT, MOST_FIELDS = 4096, 50
NAMES_VARIABLE = "ADAPTIVE_NERF_VIEWER_NAMES"
LOOPBACK_NAMES = ("localhost", "ip6-localhost")
ELSEWHERE = {"websocket", "playbackpath"}  # with these, viser's page talks to servers of others


def key_of_job(folder: Path) -> str:
    """The same for every run of a job, so that an open page finds it again. Its file is for the owner's eyes alone."""
    path = folder / KEY_FILE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return _new_key(path)
    with os.fdopen(descriptor, "rb") as stream:
        private = not os.fstat(descriptor).st_mode & 0o077
        found = stream.read(LONGEST_TEXT).decode("ascii", "replace").strip()
    return found if private and KEY.fullmatch(found) else _new_key(path)


def _new_key(path: Path) -> str:
    key = secrets.token_urlsafe(32)
    write_private(path, key + "\n")
    return key


def is_key(given: str, key: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), key.encode())


def key_in(text: str) -> str:
    """What somebody typed or pasted: the key alone, or the whole address with it."""
    text = text.strip()[:LONGEST_TEXT]
    found = KEY_IN_TEXT.search(text)
    return found[1] if found else text


def query_for_the_page(query: str) -> str:
    """Of an address, what the page may know: its views, not the key, nor what leads it elsewhere."""
    try:
        pairs = parse_qsl(query[:LONGEST_TEXT], keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:  # more than our page ever has
        return ""
    return urlencode([(name, value) for name, value in pairs if name.lower() not in {"token", *ELSEWHERE}], safe=",")


def leads_elsewhere(names: Iterable[str]) -> bool:
    """Whether a query, by its names, would lead viser's page to another server."""
    return not ELSEWHERE.isdisjoint(name.lower() for name in names)


def names_of_this_machine(listening_on: str) -> frozenset[str]:
    """Under which names, besides addresses in numbers, the page may be asked for."""
    own = socket.gethostname()
    named = os.environ.get(NAMES_VARIABLE, "").replace(",", " ").split()
    return frozenset(name.lower().rstrip(".") for name in
                     (*LOOPBACK_NAMES, own, f"{own}.local", socket.getfqdn(), listening_on, *named) if name)


def is_for_us(host_header: str, names: Iterable[str]) -> bool:
    """A foreign web page whose name was turned to our address still asks for its own name. An address in numbers
    cannot be turned, so any is good: a laptop may reach us through a router that has another one."""
    if not HOST.fullmatch(host_header):
        return False
    try:
        host = (urlsplit(f"//{host_header}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return host in names or is_number(host)


def is_our_page(origin: str | None, host_header: str) -> bool:
    """What a browser says about the page that asks. Programs that are no browsers say nothing."""
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host_header.lower()
