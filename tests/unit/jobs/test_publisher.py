"""The outbox reaches the broker in order, at least once, and one bad record holds up nobody."""

import pytest

from adaptive_nerf.common.transport import Undelivered
from adaptive_nerf.jobs.publisher import REFUSED_REST_S, SHORTENED_BYTES, Publisher
from adaptive_nerf.jobs.records import Arrival, NewJob, Rejected, Source
from adaptive_nerf.jobs.store import Store, StoreFull

PLACE = Source("cluster", "life", 0)


class Sink:
    """A broker in memory; `away` keeps what is submitted, `largest` refuses what is bigger, `refuses` all."""

    def __init__(self):
        self.sent, self.queue, self.away, self.largest, self.refuses = [], [], False, 10**9, False

    def submit(self, topic, key, value, headers, done):
        self.queue.append((topic, key, value, headers, done))
        return True

    def poll(self, wait_s):
        queue, self.queue = ([], self.queue) if self.away else (self.queue, [])
        for topic, key, value, headers, done in queue:
            if len(value) > self.largest:
                done(Undelivered("too large", never=True))
            elif self.refuses:
                done(Undelivered("not authorized", never=False))
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


def nothing():
    pass


def publish(publisher, sink):
    while publisher.step(sink):
        if sink.away:
            return


def test_events_come_in_order_and_the_outbox_is_empty_afterwards(store):
    sink = Sink()
    publish(Publisher(store, lambda stream: f"t.{stream}", nothing), sink)
    assert [key for _, key, _, _ in sink.sent] == [b"j0", b"j0", b"j1", b"j1", b"j2", b"j2"]
    assert {topic for topic, *_ in sink.sent} == {"t.events"}
    assert store.outbox_size() == 0


def test_while_the_broker_is_away_everything_waits_and_nothing_is_submitted_twice(store):
    sink, publisher = Sink(), Publisher(store, str, nothing)
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
    first = Publisher(store, str, nothing)
    first.store = type("Killed", (), {"unpublished": store.unpublished, "published": lambda _, __: 1 / 0})()
    with pytest.raises(ZeroDivisionError):
        publish(first, sink)
    publish(Publisher(store, str, nothing), sink)
    assert len(sink.sent) == 12
    assert len({value for _, _, value, _ in sink.sent}) == 6


def test_a_dead_letter_that_is_too_large_is_told_shortened_and_those_behind_it_whole(store):
    bad = Rejected("too_large", ({"field": "", "message": "has too many bytes", "hint": ""},))
    store.take_in([Arrival(PLACE, 3, b"x" * 300_000, bad), Arrival(PLACE, 4, b"y", bad)], "logs")
    sink = Sink()
    sink.largest = 200_000
    publish(Publisher(store, str, nothing), sink)
    letters = {value[:1]: (len(value), headers) for topic, _, value, headers in sink.sent if topic == "dead-letters"}
    assert letters[b"x"][0] == SHORTENED_BYTES
    assert letters[b"x"][1]["shortened_from"] == "300000"
    assert letters[b"y"][0] == 1
    assert store.outbox_size() == 0


def test_what_a_broker_refuses_for_now_waits_and_is_sent_later_and_that_is_said_once(store, caplog):
    at_s = [0.0]
    sink, publisher = Sink(), Publisher(store, str, nothing, lambda: at_s[0])
    sink.refuses = True
    for _ in range(3):
        publish(publisher, sink)
        assert publisher.step(sink) == 0  # it rests
        assert store.outbox_size() == 6
        at_s[0] += REFUSED_REST_S
    assert [record.message for record in caplog.records] == [
        "events wait, for events does not take them: not authorized"]
    sink.refuses = False
    publish(publisher, sink)
    assert [key for _, key, _, _ in sink.sent] == [b"j0", b"j0", b"j1", b"j1", b"j2", b"j2"]
    assert store.outbox_size() == 0


def test_what_arrived_while_the_disk_was_full_is_noted_later_and_not_sent_again(store, monkeypatch):
    freed, published, sink = [], store.published, Sink()

    def full(numbers):
        monkeypatch.setattr(store, "published", published)
        raise StoreFull("no room")

    monkeypatch.setattr(store, "published", full)
    publish(Publisher(store, str, lambda: freed.append(True)), sink)
    assert (len(sink.sent), store.outbox_size(), freed) == (6, 0, [True])
