"""What the service needs of a message log, said without any client library: kafka_utils implements it, jobs uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from adaptive_nerf.common.errors import Failure


class BrokerError(Failure):
    """The broker, or the way to it. Transient unless a class below says more."""


class BrokerUnreachable(BrokerError):
    pass


class LoginRefused(BrokerError):
    """A wrong password, or a certificate that is not trusted: needs a person."""


class CommitFailed(BrokerError):
    """Whether the broker stored the offsets is unknown; commit them again."""


class Fenced(BrokerError):
    """Another member has our place in the group: what is not committed belongs to it."""


@dataclass(frozen=True)
class Partition:
    topic: str
    partition: int


@dataclass(frozen=True)
class Received:
    topic: str
    partition: int
    offset: int
    cluster: str
    incarnation: str  # of the topic: a re-created one has another; empty where the broker cannot tell
    value: bytes


@dataclass(frozen=True)
class Assigned:
    partition: Partition
    cluster: str
    incarnation: str
    committed: int | None
    mark: str  # what the committer wrote beside the committed offset


@dataclass(frozen=True)
class Member:
    """Of a consumer group."""

    instance_id: str
    client_id: str
    host: str


class Undelivered(str):
    """Why a record did not arrive. `never`: nor will it, for it is the record that is at fault; else try it again."""

    never: bool

    def __new__(cls, why: str, never: bool) -> Undelivered:
        made = super().__new__(cls, why)
        made.never = never
        return made


class MessageSource(Protocol):
    def take(self, wait_s: float = 0.2, most: int = 500) -> list[Received]: ...
    def commit(self, next_offsets: Mapping[Partition, int], mark: str) -> None: ...
    def refresh(self) -> list[Assigned]: ...
    def assigned(self) -> Sequence[Assigned]: ...
    def missing(self) -> Sequence[Partition]: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def close(self) -> None: ...
    @property
    def connected(self) -> bool: ...
    @property
    def last_error(self) -> str: ...


class MessageSink(Protocol):
    def submit(self, topic: str, key: bytes | None, value: bytes, headers: Mapping[str, str],
               done: Callable[[Undelivered | None], None]) -> bool: ...
    def poll(self, wait_s: float) -> int: ...
    def close(self) -> None: ...


class Broker(Protocol):
    """The way to one broker: everything that needs its address and its secrets."""

    @property
    def address(self) -> str: ...
    def check(self, wait_s: float) -> None:
        """Raises BrokerUnreachable or LoginRefused, with a line for people."""

    def prepare(self, topics: Sequence[str]) -> None: ...
    def members(self, group_id: str) -> list[Member]: ...
    def source(self, topics: Sequence[str], group_id: str, names: tuple[str, str],
               start_at: Callable[[Assigned], int | None],
               on_lost: Callable[[Sequence[Assigned]], None]) -> MessageSource:
        """`names` are the instance id, which stays, and the client id, which is new with every process."""

    def sink(self, client_id: str) -> MessageSink: ...
