"""Each fault in full size; CI has them in small. Part of `make soak`."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.evidence import processes_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)
MEMORY_GROUPS = Path("/sys/fs/cgroup/memory")


def test_killed_twenty_times_while_two_hundred_jobs_pass(fragile):
    world, _ = fragile
    world.start()
    for death in range(20):
        world.ledger.send_many([f"job-{death}-{number}" for number in range(10)], "fake: sleep=0.3 fork=1")
        world.ledger.flush()
        world.wait_running(f"job-{death}-{death % 10}", within_s=60)
        world.mediator.kill()
        world.start()
    report = world.must_be_clean(within_s=300)
    assert (report.jobs, report.runs) == (200, 200)


def test_ninety_seconds_of_silence(fragile):
    """Longer than the group's session: the broker has forgotten us when it wakes."""
    world, kafka = fragile
    world.start()
    world.ledger.send("across", "fake: sleep=100 steps=200")
    world.wait_running("across")
    kafka.freeze()
    world.ledger.send_many([f"while-{number}" for number in range(50)], "fake: sleep=0.1")
    time.sleep(90)
    kafka.thaw()
    world.ledger.send_many([f"after-{number}" for number in range(50)], "fake: sleep=0.1")
    assert world.must_be_clean(within_s=300).runs == 101


def test_a_frozen_mediator_that_wakes_after_its_session_has_no_say(fragile):
    """60 s asleep: its place in the group has lapsed, and it must neither lose nor repeat anything when it wakes."""
    world, _ = fragile
    mediator = world.start()
    world.ledger.send_many([f"before-{number}" for number in range(10)], "fake: sleep=0.5")
    world.wait_running("before-1")
    os.kill(mediator.pid, 19)
    world.ledger.send_many([f"while-{number}" for number in range(10)], "fake: sleep=0.1")
    time.sleep(60)
    os.kill(mediator.pid, 18)
    assert world.must_be_clean(within_s=300).runs == 20


def test_three_broker_deaths_under_load(fragile):
    world, kafka = fragile
    world.start()
    for death in range(3):
        world.ledger.send_many([f"job-{death}-{number}" for number in range(300)], "fake: sleep=0.01")
        world.wait_running(f"job-{death}-20", within_s=120)
        kafka.kill()
        kafka.start()
    assert world.must_be_clean(within_s=600).runs == 900


def test_ten_thousand_jobs_at_once(fragile):
    """All accepted, none lost; a part runs, the rest is cancelled while it waits."""
    world, _ = fragile
    mediator = world.start("--slots", 4)
    world.ledger.send_many([f"job-{number}" for number in range(10_000)], "fake: sleep=0")
    world.ledger.flush()
    wait_until(lambda: sum(value for name, value in mediator.gauges().items() if name.startswith("jobs_")) >= 10_000,
               "all are accepted", 120)
    world.wait_running("job-1000", within_s=600)
    for number in range(2000, 10_000):
        world.ledger.send_bytes(b'{"verb": "cancel", "job_id": "job-%d"}' % number, None, "wish",
                                topic=f"{world.topic}.control")
    assert world.must_be_clean(within_s=900).jobs == 10_000


def test_a_gigabyte_of_output_and_two_hundred_detached_children(fragile):
    world, _ = fragile
    world.start()
    world.ledger.send("flood", "fake: flood_mb=1000 fork=200")
    world.wait_state("flood", "SUCCEEDED", within_s=300)
    wait_until(lambda: not processes_of(world.folder), "no process is left", 5.0)
    kept = sum(path.stat().st_size for path in (world.logs / "flood" / "attempts" / "1" / "output").iterdir())
    assert kept <= 65 * 2**20 + 4096
    world.must_be_clean()


def test_the_kernel_takes_the_runner_when_memory_is_out(fragile):
    """In a control group of 64 MiB, where root may make one."""
    world, _ = fragile
    group = MEMORY_GROUPS / f"soak-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    (group / "memory.limit_in_bytes").write_text(str(64 * 2**20))
    world.start()
    try:
        world.ledger.send("leaks", f"fake: leak_mb=1000 cgroup={group}")
        world.wait_state("leaks", "FAILED", within_s=120)
        job = world.mediator.job("leaks")
        assert (job["reason"], job["attempt"]) == ("out_of_memory", 2)
        world.must_be_clean()
    finally:
        subprocess.run(["rmdir", group], check=False)
