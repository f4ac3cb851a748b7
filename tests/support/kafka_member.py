"""A member of a consumer group and a sender of records, as tests want them: in few words, waiting for conditions."""

from collections.abc import Callable, Sequence

from adaptive_nerf.common.transport import Assigned, Partition, Received
from kafka_utils.consumer import Consumer
from kafka_utils.producer import Producer
from tests.support.waiting import wait_until


class Member:
    def __init__(self, broker: str, topics: Sequence[str], group: str, name: str = "one",
                 start_at: Callable[[Assigned], int | None] = lambda _: None, settings: dict[str, str] | None = None):
        self.given: list[Assigned] = []
        self.lost: list[Assigned] = []
        self.received: list[Received] = []
        self._start_at = start_at
        self.consumer = Consumer({"bootstrap.servers": broker, **(settings or {})}, topics, group, name,
                                 f"{name}-client", self._start, self.lost.extend)

    def _start(self, place: Assigned) -> int | None:
        self.given.append(place)
        return self._start_at(place)

    def take(self, wait_s: float = 0.05) -> list[Received]:
        taken = self.consumer.take(wait_s)
        self.received += taken
        return taken

    def join(self, within_s: float = 30.0) -> "Member":
        wait_until(lambda: self.take() or self.consumer.assigned(), "a partition is given", within_s, every_s=0)
        return self

    def read(self, count: int, within_s: float = 30.0) -> list[bytes]:
        """Until `count` records have come in all; their values."""
        wait_until(lambda: (self.take() and len(self.received) >= count) or len(self.received) >= count,
                   f"{count} records", within_s, every_s=0)
        return [record.value for record in self.received]

    def commit(self, mark: str = "") -> None:
        """All that was received."""
        self.consumer.commit({Partition(record.topic, record.partition): record.offset + 1
                              for record in self.received}, mark)


class Sender:
    def __init__(self, broker: str, settings: dict[str, str] | None = None):
        self.producer = Producer({"bootstrap.servers": broker, **(settings or {})}, "sender")
        self.answers: list[str | None] = []

    def send(self, topic: str, *values: bytes, headers: dict[str, str] | None = None) -> None:
        """Queue them, all with one key, so that they stay in order."""
        for value in values:
            while not self.producer.submit(topic, b"key", value, headers or {}, self.answers.append):
                self.producer.poll(0.05)

    def deliver(self, topic: str, *values: bytes, within_s: float = 30.0) -> None:
        self.send(topic, *values)
        wait_until(lambda: self.producer.flush(0.5) == 0, "all records are delivered", within_s)
        assert set(self.answers) == {None}
