"""The outbox reaches the broker in order, at least once, and one bad record holds up nobody."""

import pytest

from adaptive_nerf.jobs.publisher import SHORTENED_BYTES, Publisher
from adaptive_nerf.jobs.records import Arrival, NewJob, Rejected, Source
from adaptive_nerf.jobs.store import Store

PLACE = Source("cluster", "life", 0)


class Sink:
    """A broker in memory; `away` keeps what is submitted, `largest` refuses what is bigger."""

    def __init__(self):
        self.sent, self.queue, self.away, self.largest = [], [], False, 10**9

    def submit(self, topic, key, value, headers, done):
        self.queue.append((topic, key, value, headers, done))
        return True

    def poll(self, wait_s):
        queue, self.queue = ([], self.queue) if self.away else (self.queue, [])
        for topic, key, value, headers, done in queue:
            if len(value) > self.largest:
                done("too large")
            else:
                self.sent.append((topic, key, value, headers))
                done(None)
        return len(queue)


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "state", "mediator-1")
    found.take_in([Arrival(PLACE, number, b"{}", NewJob(f"j{number}", "train", "{}")) for number in range(3)], "logs")
    found.release(PLACE, 3)
    yield found
    found.close()


def publish(publisher, sink):
    while publisher.step(sink):
        if sink.away:
            return


def test_events_come_in_order_and_the_outbox_is_empty_afterwards(store):
    sink = Sink()
    publish(Publisher(store, lambda stream: f"t.{stream}"), sink)
    assert [key for _, key, _, _ in sink.sent] == [b"j0", b"j0", b"j1", b"j1", b"j2", b"j2"]
    assert {topic for topic, *_ in sink.sent} == {"t.events"}
    assert store.outbox_size() == 0


def test_while_the_broker_is_away_everything_waits_and_nothing_is_submitted_twice(store):
    sink, publisher = Sink(), Publisher(store, str)
    sink.away = True
    publish(publisher, sink)
    publish(publisher, sink)
    assert store.outbox_size() == len(sink.queue) == 6
    sink.away = False
    publish(publisher, sink)
    assert len(sink.sent) == 6
    assert store.outbox_size() == 0


def test_a_killed_publisher_sends_again_rather_than_never(store):
    sink = Sink()
    first = Publisher(store, str)
    first.store = type("Killed", (), {"unpublished": store.unpublished, "published": lambda _, __: 1 / 0})()
    with pytest.raises(ZeroDivisionError):
        publish(first, sink)
    publish(Publisher(store, str), sink)
    assert len(sink.sent) == 12
    assert len({value for _, _, value, _ in sink.sent}) == 6


def test_a_dead_letter_that_is_too_large_is_told_shortened_and_those_behind_it_whole(store):
    bad = Rejected("too_large", ({"field": "", "message": "has too many bytes", "hint": ""},))
    store.take_in([Arrival(PLACE, 3, b"x" * 300_000, bad), Arrival(PLACE, 4, b"y", bad)], "logs")
    sink = Sink()
    sink.largest = 200_000
    publish(Publisher(store, str), sink)
    letters = {value[:1]: (len(value), headers) for topic, _, value, headers in sink.sent if topic == "dead-letters"}
    assert letters[b"x"][0] == SHORTENED_BYTES
    assert letters[b"x"][1]["shortened_from"] == "300000"
    assert letters[b"y"][0] == 1
    assert store.outbox_size() == 0
