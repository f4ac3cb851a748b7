"""Questions and orders to the broker itself: is it there, its topics and their incarnations, who is in a group."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from adaptive_nerf.common.transport import BrokerError, LoginRefused, Member
from kafka_utils.errors import error_of, no_answer, plain, translated, unreachable_line

T = TypeVar("T")
CONNECTION: dict[str, Any] = {
    "socket.timeout.ms": 10_000,
    "socket.keepalive.enable": True,
    "reconnect.backoff.ms": 50,  # doubles up to the most; the very first connection, too, waits for half of this
    "reconnect.backoff.max.ms": 1_000,
    "log.connection.close": False,
}
# Nobody serves the lines that an administrative client says, so it says none; its answers and errors are enough.
ADMINISTRATION = {**CONNECTION, "log_level": 0}
LEAST_S = 0.1


def is_development(cluster: str) -> bool:
    """The built-in broker knows no topic ids, no order to create topics, and no answer to who is in a group."""
    return cluster.startswith("mockCluster")


def reachable(settings: Mapping[str, str], wait_s: float = 10.0) -> None:
    """Returns when the broker answers and lets us in. A refusal is said at once, not at the end of the wait."""
    own = dict(settings)
    refusals: list[LoginRefused] = []
    reasons: list[str] = []

    def on_error(error: KafkaError) -> None:
        ours = translated(error, own)
        if isinstance(ours, LoginRefused):
            refusals.append(ours)
        elif error.code() != KafkaError._ALL_BROKERS_DOWN:
            reasons.append(plain(error))

    client = AdminClient({**ADMINISTRATION, **own}, error_cb=on_error)
    deadline = time.monotonic() + wait_s
    while True:
        left_s = deadline - time.monotonic()
        try:
            client.list_topics(timeout=min(max(left_s, LEAST_S), 0.5))
            return
        except KafkaException as error:
            code = error_of(error).code()
            if code not in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT):
                raise translated(error_of(error), own) from error
        client.poll(0)
        if refusals:
            raise refusals[-1]
        if left_s <= 0:
            raise no_answer(own, reasons[-1] if reasons else "", hung_up=code == KafkaError._TRANSPORT)


def cluster_id(settings: Mapping[str, str], wait_s: float = 10.0) -> str:
    """Of one life of a cluster: the development broker has another each time that it is started."""
    own = dict(settings)
    with _ours(own):
        return str(administrator(own).list_topics(timeout=max(wait_s, LEAST_S)).cluster_id)


def ensure_topics(settings: Mapping[str, str], names: Mapping[str, Mapping[str, str]], partitions: int = 1,
                  wait_s: float = 10.0) -> None:
    """Make the topics that are not there yet. The development broker makes them itself, with four partitions."""
    own, client = dict(settings), administrator(settings)
    with _ours(own):
        there = client.list_topics(timeout=max(wait_s, LEAST_S))
        if is_development(str(there.cluster_id)):
            for name in names:
                client.list_topics(name, timeout=max(wait_s, LEAST_S))
            return
        new = [NewTopic(name, partitions, -1, config=dict(config)) for name, config in names.items()
               if name not in there.topics]
        for future in client.create_topics(new, request_timeout=wait_s).values() if new else ():
            _created(future, wait_s)


def topic_ids(settings: Mapping[str, str], names: Sequence[str], wait_s: float = 10.0) -> dict[str, str]:
    """The incarnation of each topic that exists; a re-created one has another. "" where the broker cannot tell."""
    own = dict(settings)
    return incarnations(administrator(own), own, names, cluster_id(own, wait_s), wait_s)


def incarnations(client: AdminClient, settings: dict[str, str], names: Sequence[str], cluster: str,
                 wait_s: float) -> dict[str, str]:
    if not names or is_development(cluster):
        return dict.fromkeys(names, "")
    found = {}
    with _ours(settings):
        for name, future in client.describe_topics(TopicCollection(list(names)), request_timeout=wait_s).items():
            with contextlib.suppress(_NoSuch):
                found[name] = str(_answer(future, wait_s).topic_id)
    return found


def live_members(settings: Mapping[str, str], group_id: str, wait_s: float = 10.0) -> list[Member]:
    """Who is in the group now; [] where nobody is, or where the broker cannot tell."""
    own, client = dict(settings), administrator(settings)
    with _ours(own):
        if is_development(str(client.list_topics(timeout=max(wait_s, LEAST_S)).cluster_id)):
            return []
        try:
            group = _answer(client.describe_consumer_groups([group_id], request_timeout=wait_s)[group_id], wait_s)
        except _NoSuch:
            return []
    return [Member(member.group_instance_id or "", member.client_id, member.host) for member in group.members]


class _NoSuch(Exception):
    """The topic or the group does not exist."""


def _answer(future: Future[T], wait_s: float) -> T:
    try:
        return future.result(timeout=wait_s + 1)
    except KafkaException as error:
        if error_of(error).code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND):
            raise _NoSuch from error
        raise


def _created(future: Future[Any], wait_s: float) -> None:
    try:
        future.result(timeout=wait_s + 1)
    except KafkaException as error:
        if error_of(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody was faster
            raise


def administrator(settings: Mapping[str, str]) -> AdminClient:
    return AdminClient({**ADMINISTRATION, **settings})


@contextlib.contextmanager
def _ours(settings: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise translated(error_of(error), settings) from error
    except TimeoutError as error:
        raise BrokerError(unreachable_line(settings, "no answer in time")) from error
