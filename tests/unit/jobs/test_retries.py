import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.jobs.attempt_files import Ended
from adaptive_nerf.jobs.retries import Kind, delay_s, verdict
from adaptive_nerf.jobs.states import Reason, State
from tests.support.job_factory import make_job

RETRY, FAILED = State.RETRY_WAIT, State.FAILED


def exited(code):
    return Ended(code, None, None, 0, 0)


def killed(number, oom_kills=0):
    return Ended(None, number, None, oom_kills, 0)


def lives(ended, stop_reason=None, **fields):
    """The verdicts over a job that ends so every time, until it is over; at most ten."""
    job, found = make_job(attempt=1, **fields), []
    while not found or (found[-1].state is RETRY and len(found) < 10):
        found.append(verdict(job, ended, stop_reason, 0.0))
        job = make_job(attempt=job.attempt + 1, **fields | {"faults": found[-1].faults})
    return found


@pytest.mark.parametrize(("ended", "reason", "attempts"), [
    (None, Reason.LOST, 6), (Ended.never("no such file"), Reason.SPAWN_FAILED, 6), (exited(75), Reason.STOPPED, 6),
    (killed(signal.SIGTERM), Reason.STOPPED, 6), (Ended(None, None, None, 0, 0), Reason.LOST, 6),
    (exited(70), Reason.OWN_FAULT, 2), (exited(1), Reason.OWN_FAULT, 2), (exited(255), Reason.OWN_FAULT, 2),
    (killed(signal.SIGSEGV), Reason.SIGNAL, 2), (killed(signal.SIGKILL), Reason.SIGNAL, 2),
    (killed(63), Reason.SIGNAL, 2), (killed(signal.SIGSEGV, oom_kills=1), Reason.SIGNAL, 2),
    (exited(76), Reason.OUT_OF_MEMORY, 2), (killed(signal.SIGKILL, oom_kills=1), Reason.OUT_OF_MEMORY, 2),
    (exited(64), Reason.BAD_SPEC, 1), (exited(65), Reason.BAD_DATA, 1), (exited(78), Reason.BROKEN_INSTALLATION, 1)])
def test_how_often_a_job_is_tried_depends_on_why_it_ended(ended, reason, attempts):
    found = lives(ended)
    assert [item.state for item in found] == [RETRY] * (attempts - 1) + [FAILED]
    assert {item.reason for item in found} == {reason}


def test_what_waits_for_a_port_or_a_device_waits_as_long_as_it_takes():
    assert [item.state for item in lives(exited(69))] == [RETRY] * 10


@pytest.mark.parametrize("stop_reason", [None, Reason.CANCELLED, Reason.HUNG, Reason.TIMEOUT])
def test_a_success_before_the_stop_took_effect_is_a_success(stop_reason):
    found = verdict(make_job(attempt=1), exited(0), stop_reason, 0.0)
    assert (found.state, found.reason, found.code, found.detail) == (State.SUCCEEDED, Reason.DONE, 0, "")


@pytest.mark.parametrize("ended", [None, exited(75), exited(70), exited(64), killed(9, 1), Ended.never("full")])
def test_a_cancelled_job_is_cancelled_however_it_ended(ended):
    found = verdict(make_job(attempt=1), ended, Reason.CANCELLED, 0.0)
    assert (found.state, found.reason, found.faults) == (State.CANCELLED, Reason.CANCELLED, {})


def test_a_time_limit_is_the_end_and_a_hang_is_tried_once_more():
    assert [item.state for item in lives(exited(75), Reason.TIMEOUT)] == [FAILED]
    found = lives(killed(9), Reason.HUNG)
    assert [(item.state, item.reason) for item in found] == [(RETRY, Reason.HUNG), (FAILED, Reason.HUNG)]


@pytest.mark.parametrize("ended", [None, exited(69), exited(70), exited(76)])
@pytest.mark.parametrize("most", [1, 2])
def test_no_job_runs_more_often_than_it_allows(ended, most):
    assert len(lives(ended, max_attempts=most)) == most


def test_allowing_many_attempts_makes_no_more_of_what_is_never_tried_again():
    assert len(lives(exited(64), max_attempts=9)) == 1
    assert len(lives(exited(70), max_attempts=9)) == 2


def test_each_kind_of_fault_is_counted_by_itself():
    job = make_job(attempt=6, faults={"infrastructure": 4, "taken": 9})
    own = verdict(job, exited(70), None, 0.0)
    assert (own.state, own.faults) == (RETRY, {"infrastructure": 4, "taken": 9, "own": 1})
    assert verdict(job, None, None, 0.0).state is RETRY
    assert verdict(make_job(attempt=7, faults={"infrastructure": 5}), None, None, 0.0).state is FAILED


def test_the_wait_doubles_with_each_fault_up_to_ten_minutes():
    assert [item.delay_s for item in lives(None)] == [10, 20, 40, 80, 160, 0]
    assert delay_s(Kind.INFRASTRUCTURE, 9, 0.0) == 600
    assert [item.delay_s for item in lives(exited(69))][:7] == [10, 20, 40, 80, 160, 300, 300]


def test_the_first_wait_can_be_set_for_a_demo():
    assert verdict(make_job(attempt=1), None, None, 0.0, base_s=0.5).delay_s == 0.5


@given(st.sampled_from(Kind), st.integers(1, 10**9), st.floats(0, 1), st.floats(0, 100))
def test_a_wait_is_never_longer_than_its_limit_and_jitter_takes_at_most_a_half(kind, count, jitter, base_s):
    waited, whole = delay_s(kind, count, jitter, base_s), delay_s(kind, count, 0.0, base_s)
    assert whole / 2 <= waited <= whole <= 600


@pytest.mark.parametrize(("ended", "stop_reason", "detail"), [
    (None, None, "it ended without an exit status"), (exited(70), None, "exit code 70"),
    (killed(signal.SIGSEGV), None, "ended by SIGSEGV"), (killed(63), None, "ended by signal 63"),
    (killed(9, 1), None, "the host had no memory left and killed it"),
    (Ended.never("no such file"), None, "it could not be started: no such file"),
    (killed(9), Reason.HUNG, "hung: stopped by the service, ended by SIGKILL")])
def test_a_person_is_told_why_in_one_line(ended, stop_reason, detail):
    assert verdict(make_job(attempt=1), ended, stop_reason, 0.0).detail == detail


any_end = st.builds(Ended, st.none() | st.integers(-300, 300), st.none() | st.integers(0, 100), st.none(),
                    st.integers(0, 3), st.just(0))


@given(st.none() | any_end, st.sampled_from([None, *Reason]), st.integers(1, 50))
def test_every_end_has_a_verdict_and_only_exit_0_is_a_success(ended, stop_reason, attempt):
    found = verdict(make_job(attempt=attempt), ended, stop_reason, 0.5)
    assert found.state in {State.SUCCEEDED, FAILED, State.CANCELLED, RETRY}
    assert (found.state is State.SUCCEEDED) == (ended is not None and ended.code == 0)
    assert (found.delay_s > 0) == (found.state is RETRY)
