"""The line to the broker: waits, connects, refuses a second mediator, holds back while fenced, and goes on."""

import time

import pytest

from adaptive_nerf.common.transport import BrokerError, BrokerUnreachable, Fenced, Member
from adaptive_nerf.jobs.intake import Intake
from adaptive_nerf.jobs.line import GroupTaken, Line, LineState
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.settings import Topics
from adaptive_nerf.jobs.store import Store


class Source:
    def __init__(self):
        self.connected, self.last_error, self.trouble, self.paused, self.closed = True, "", None, False, False

    def take(self, wait_s=0.2, most=500):
        if self.trouble:
            raise self.trouble
        return []

    def refresh(self):
        return []

    def assigned(self):
        return []

    def missing(self):
        return []

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False

    def close(self):
        self.closed = True


class Broker:
    address = "kafka:9092"

    def __init__(self):
        self.away, self.group, self.sources, self.names = None, [], [], []

    def check(self, wait_s):
        if self.away:
            raise self.away

    def prepare(self, topics):
        self.topics = topics

    def members(self, group_id):
        return self.group

    def source(self, topics, group_id, names, start_at, on_lost):
        self.names.append(names)
        self.sources.append(Source())
        return self.sources[-1]


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def line(broker, tmp_path):
    store = Store(tmp_path / "state", "mediator-1")
    roots = Roots.of(tmp_path / "logs", [tmp_path / "data"], tmp_path)
    intake = Intake(store, "mediator-1", roots, Topics("t"), lambda: None)
    yield Line(broker, intake, store, "group", lambda: "")
    store.close()


def test_a_broker_that_is_away_is_waited_for(line, broker):
    broker.away = BrokerUnreachable("no broker answers at kafka:9092")
    assert line.step() > 0
    assert (line.state, line.why) == (LineState.WAITING, "no broker answers at kafka:9092")
    broker.away = None
    assert line.step() == 0
    assert line.state is LineState.CONNECTED
    assert broker.topics == ["t", "t.control", "t.events", "t.dead-letters"]


def test_a_second_mediator_is_refused_at_its_start(line, broker):
    broker.group = [Member("mediator-2", "mediator-2.17.abc", "/10.0.0.2")]
    with pytest.raises(GroupTaken, match=r"mediator-2 on /10.0.0.2.*--group_id"):
        line.step()


def test_a_former_life_of_ours_is_no_stranger(line, broker):
    line.step()
    broker.group = [Member("mediator-1", broker.names[0][1], "/10.0.0.1")]
    line.close()
    assert line.step() == 0
    assert line.state is LineState.CONNECTED


def test_who_uses_our_name_is_a_stranger(line, broker):
    broker.group = [Member("mediator-1", "somebody", "/10.0.0.2")]
    with pytest.raises(GroupTaken):
        line.step()


def test_fenced_it_takes_nothing_until_the_other_has_left(line, broker):
    line.step()
    broker.sources[0].trouble = Fenced("another member took our place")
    broker.group = [Member("mediator-1", "somebody", "/10.0.0.2")]
    line.step()
    wait_over(line)
    line.step()
    assert line.state is LineState.FENCED
    assert broker.sources[0].closed
    assert len(broker.sources) == 1
    broker.group = []
    line.step()
    assert line.state is LineState.CONNECTED


def wait_over(line):
    line._fenced_until_s = 0.0


def test_after_a_fence_it_stays_away_and_for_longer_each_time(line, broker):
    line.step()
    away_s = []
    for number in range(9):
        broker.sources[-1].trouble = Fenced("another member took our place")
        line.step()
        line.step()
        assert len(broker.sources) == number + 1
        away_s.append(line._fence_s)
        line._fenced_until_s = time.monotonic()
        line.step()
    assert away_s == [5, 10, 20, 40, 80, 160, 320, 600, 600]


def test_two_fences_in_a_row_name_the_likely_cause(line, broker, caplog):
    for _ in range(2):
        line._fenced_until_s = time.monotonic()
        line.step()
        broker.sources[-1].trouble = Fenced("another member took our place")
        line.step()
    assert "a copy of" in caplog.text


def test_a_fenced_line_stays_fenced_while_the_broker_is_away(line, broker):
    line.step()
    broker.sources[0].trouble = Fenced("another member took our place")
    line.step()
    broker.away = BrokerUnreachable("no broker")
    line.step()
    assert line.state is LineState.FENCED


def test_a_minute_of_errors_builds_the_consumer_anew(line, broker):
    line.step()
    broker.sources[0].trouble = BrokerError("something odd")
    line.step()
    assert len(broker.sources) == 1
    line.last_step_s -= 61
    line.step()
    line.step()
    assert broker.sources[0].closed
    assert len(broker.sources) == 2


def test_a_trouble_that_has_passed_is_not_told_any_more(line, broker):
    line.step()
    broker.sources[0].trouble = BrokerError("something odd")
    line.step()
    assert line.why == "something odd"
    broker.sources[0].trouble = None
    line.step()
    assert (line.state, line.why) == (LineState.CONNECTED, "")


def test_it_pauses_while_it_is_held_back(line, broker):
    line.step()
    line.held_back = lambda: "the disk is full"
    line.step()
    assert broker.sources[0].paused
    line.held_back = lambda: ""
    line.step()
    assert not broker.sources[0].paused
