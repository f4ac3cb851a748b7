"""The wall clock may be set forth and back; limits and waits are kept by a clock that cannot be set."""

import pytest

from tests.support.world import CLONE

DAY_S = 86_400
STEPPED = CLONE / "tests" / "support" / "stepped_clock.py"


def set_clock(world, offset_s):
    new = world.folder / "offset.new"
    new.write_text(str(offset_s))
    new.replace(world.folder / "offset")


@pytest.mark.parametrize("days", [-400, 400])
def test_a_step_of_the_wall_clock_ends_no_job_and_delays_none(dev_world, days):
    set_clock(dev_world, 0)
    mediator = dev_world.start("--retry-base", 3, program=[STEPPED, dev_world.folder / "offset"])
    dev_world.ledger.send("limited", "fake: until=stepped steps=2", timeout_s=300.0, hang_timeout_s=300.0)
    dev_world.wait_running("limited")
    dev_world.ledger.send("waits", "fake: exit=69 fail_attempts=1")
    dev_world.wait_state("waits", "RETRY_WAIT")
    set_clock(dev_world, days * DAY_S)
    dev_world.ledger.send("later", "fake: sleep=0")
    dev_world.wait_state("later", "SUCCEEDED")
    dev_world.let_go("stepped")
    dev_world.must_be_clean()
    assert {mediator.state_of(name) for name in ("limited", "waits", "later")} == {"SUCCEEDED"}
    assert mediator.job("limited")["attempt"] == 1


@pytest.mark.system
@pytest.mark.parametrize("days", [-400, 400])
def test_a_step_while_no_mediator_runs_changes_no_job_that_is_taken_back(real_world, days):
    set_clock(real_world, 0)
    real_world.start(program=[STEPPED, real_world.folder / "offset"])
    real_world.ledger.send("runs", "fake: until=taken-back steps=3", timeout_s=300.0, hang_timeout_s=300.0)
    real_world.wait_running("runs")
    real_world.mediator.kill()
    set_clock(real_world, days * DAY_S)
    second = real_world.start(program=[STEPPED, real_world.folder / "offset"])
    assert second.state_of("runs") == "RUNNING"
    real_world.let_go("taken-back")
    assert real_world.must_be_clean().runs == 1
    assert second.state_of("runs") == "SUCCEEDED"
