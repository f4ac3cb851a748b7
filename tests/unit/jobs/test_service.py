"""The whole service against a broker that never answers: it ends in order whatever happens to one of its parts."""

import logging
import threading

import pytest

from adaptive_nerf.common.errors import BadUsage, Failure
from adaptive_nerf.common.transport import BrokerUnreachable
from adaptive_nerf.jobs import service as services
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.service import Service
from adaptive_nerf.jobs.settings import Settings, Topics
from adaptive_nerf.jobs.states import State
from adaptive_nerf.jobs.store import Store, StoreFull
from tests.support.stores import brought_to


class Sink:
    def submit(self, topic, key, value, headers, done):
        return True

    def poll(self, wait_s):
        return 0

    def close(self):
        pass


class NoBroker:
    address = "kafka:9092"

    def check(self, wait_s):
        raise BrokerUnreachable("no broker answers at kafka:9092")

    def sink(self, client_id):
        return Sink()


@pytest.fixture
def settings(tmp_path):
    for name in ("logs", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "runner.py").touch()
    return Settings(
        topics=Topics("t"), group_id="g", roots=Roots.of(tmp_path / "logs", [tmp_path / "data"], tmp_path),
        state=tmp_path / "state", logs=tmp_path / "logs", runner=tmp_path / "runner.py", devices="none", slots=1,
        light_slots=1, http="", grace_s=5.0, retry_base_s=0.5, backlog=100, at_stop="leave")


def fails(*_):
    raise OSError("stale file handle")


def ends_with(service, error):
    before = set(threading.enumerate())
    with pytest.raises(Failure, match=error):
        service.run()
    assert set(threading.enumerate()) <= before


def test_a_supervisor_that_fails_ends_the_service_and_the_log_tells_why(settings, caplog):
    service = Service(settings, NoBroker())
    service.supervisor.step = fails
    ends_with(service, "the supervisor has failed; the log tells why")
    assert "stale file handle" in caplog.text
    Store(settings.state, "mediator-2").close()  # the state folder is free again


@pytest.mark.parametrize(("part", "name"), [("line", "intake"), ("publisher", "publisher")])
def test_a_thread_that_fails_ends_the_service_and_the_log_tells_why(settings, caplog, part, name):
    service = Service(settings, NoBroker())
    getattr(service, part).step = fails
    ends_with(service, f"the {name} has failed; the log tells why")
    assert "stale file handle" in caplog.text


def test_logs_that_are_gone_are_a_reason_to_hold_back_and_not_to_fall(settings, caplog):
    caplog.set_level(logging.INFO)
    service = Service(settings, NoBroker())
    settings.logs.rmdir()
    step = service.supervisor.step

    def last_step():
        service.leave()
        return step()

    service.supervisor.step = last_step
    service.run()
    assert f"cannot look at {settings.logs}: no such file or directory; bring the folder back" in service.disk_low()
    assert (service.vitals.health().ready, service.vitals.health().disk_free_bytes) == (False, 0)


def test_a_viewer_holds_none_of_the_slots_that_are_counted(settings):
    service = Service(settings, NoBroker())
    for number, slot in enumerate(("cpu-0", "light-0")):
        job = type("Job", (), {"slots": (slot,)})()
        service.supervisor.live[str(number)] = type("Live", (), {"job": job})()
    health = service.vitals.health()
    service.store.close()
    assert (health.slots, health.slots_held) == (1, 1)


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.RETRY_WAIT])
def test_other_logs_are_refused_while_a_job_of_the_former_ones_has_not_ended(settings, state):
    store = Store(settings.state, "mediator-1")
    brought_to(store, state)
    store.close()
    for _ in range(2):  # the refusal lets go of the state folder
        with pytest.raises(BadUsage, match=rf"in /logs, not in {settings.logs}; start with --logs /logs"):
            Service(settings, NoBroker())


def test_other_logs_are_fine_when_all_has_ended(settings):
    store = Store(settings.state, "mediator-1")
    brought_to(store, State.SUCCEEDED)
    store.close()
    Service(settings, NoBroker()).store.close()


@pytest.fixture
def full_disk(monkeypatch):
    """The store finds no room while the ballast lies there."""
    def opened(folder, mediator_id):
        if (folder / "ballast").exists():
            raise StoreFull("no room")
        return Store(folder, mediator_id)

    monkeypatch.setattr(services, "Store", opened)


def test_a_start_on_a_full_disk_gives_up_the_ballast(settings, full_disk):
    (settings.state / "ballast").write_bytes(b"x")
    Service(settings, NoBroker()).store.close()
    assert not (settings.state / "ballast").exists()


def test_a_full_disk_without_ballast_is_told(settings, monkeypatch):
    monkeypatch.setattr(services, "Store", lambda *_: (_ for _ in ()).throw(StoreFull("no room")))
    with pytest.raises(StoreFull):
        Service(settings, NoBroker())


def test_a_job_that_cannot_be_stopped_for_want_of_room_goes_on_and_the_service_leaves(settings, caplog, monkeypatch):
    service = Service(settings, NoBroker())
    live = type("Live", (), {"job": brought_to(service.store, State.RUNNING, light=True)})()
    service.supervisor.live["a"] = live
    monkeypatch.setattr(service.store, "ask_cancel", lambda _: (_ for _ in ()).throw(StoreFull("no room")))
    service._settle_running()
    assert "jobs cannot be stopped and go on" in caplog.text
    service.store.close()
