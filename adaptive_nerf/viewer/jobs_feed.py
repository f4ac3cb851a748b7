"""The mediator's jobs, as its HTTP window on this machine tells them; it may be away, and come back.

Asked by a thread of its own, and only while somebody looks. What is handed on is bounded, and nothing but JSON values:
its words are foreign, so whoever shows them escapes them.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

VARIABLE = "ADAPTIVE_NERF_HTTP"
EVERY_S, PATIENCE_S, WANTED_S = 2.0, 3.0, 10.0
MOST_JOBS, MOST_BYTES = 100, 1 << 20
NO_ADDRESS = "this page was not started by a mediator, so it knows of no other jobs"
NO_MEDIATOR = "what answers there is no mediator"


@dataclass(frozen=True)
class JobsTold:
    jobs: tuple[Mapping[str, Any], ...] = ()  # oldest first
    problem: str = "not asked yet"  # why the jobs are not known or not fresh; empty: they are


class JobsFeed:
    def __init__(self, address: str | None = None):
        """`address`: as http://127.0.0.1:9108; without one, what the mediator told its job."""
        given = os.environ.get(VARIABLE, "") if address is None else address
        self._url, problem = _checked(given)
        self._changed = threading.Condition()
        self._told = JobsTold(problem=problem or JobsTold.problem)
        self._asked_at = -WANTED_S
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="jobs feed")
        self._worker.start()

    def told(self) -> JobsTold:
        """What was heard last; asking keeps it fresh for a while."""
        with self._changed:
            self._asked_at = time.monotonic()
            self._changed.notify_all()
            return self._told

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._worker.join()

    def _work(self) -> None:
        while self._wanted():
            jobs, problem = ask(self._url)
            with self._changed:
                self._told = JobsTold(self._told.jobs if jobs is None else jobs, problem)
                self._changed.wait_for(lambda: self._closed, EVERY_S)

    def _wanted(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (
                self._url and time.monotonic() - self._asked_at < WANTED_S))
            return not self._closed


def ask(url: str) -> tuple[tuple[Mapping[str, Any], ...] | None, str]:
    """The jobs, or None and why not."""
    try:
        with _opener().open(f"{url}/jobs?limit={MOST_JOBS}", timeout=PATIENCE_S) as answer:
            content = answer.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        return None, f"the mediator answers {error.code}"
    except (OSError, ValueError):
        return None, "the mediator does not answer; jobs go on without it, and it is asked again"
    except http.client.HTTPException:
        return None, NO_MEDIATOR
    if len(content) > MOST_BYTES:
        return None, "the mediator's answer is too long"
    try:
        jobs = json.loads(content)["jobs"]
        return tuple(job for job in jobs if isinstance(job, dict))[-MOST_JOBS:], ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, NO_MEDIATOR


def _opener() -> urllib.request.OpenerDirector:
    """Straight there: by no proxy, and to no other place that the answer may name."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _checked(address: str) -> tuple[str, str]:
    """The address where it is one of this machine, else empty and why."""
    if not address:
        return "", NO_ADDRESS
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
        if parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback):
            return f"http://{parts.netloc}", ""
    except ValueError:
        pass
    return "", "the mediator's HTTP address is none of this machine, so its jobs are not asked for"
