import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.jobs.scheduling import NO_GPU, Slot, choose, impossible
from tests.support.job_factory import make_job


def gpus(*free_mib):
    return [Slot(f"GPU-{number}", "gpu", f"GPU-{number}", free) for number, free in enumerate(free_mib)]


def cpus(count=1):
    return [Slot(f"cpu-{number}", "cpu", "") for number in range(count)]


def started(jobs, slots, held=(), light_slots=2):
    """job_id -> names of its slots."""
    return {placement.job.job_id: [slot.name for slot in placement.slots]
            for placement in choose(jobs, held, slots, light_slots)}


def test_the_most_urgent_and_then_the_oldest_is_first():
    jobs = [make_job(job_id="old"), make_job(job_id="young"), make_job(job_id="urgent", priority=9)]
    random.shuffle(jobs)
    assert started(jobs, cpus(1)) == {"urgent": ["cpu-0"]}
    assert list(started(jobs, cpus(2))) == ["urgent", "old"]


def test_a_slot_that_is_held_is_not_given_again():
    jobs = [make_job(job_id="a"), make_job(job_id="b")]
    assert started(jobs, cpus(3), held={"cpu-0", "cpu-2"}) == {"a": ["cpu-1"]}
    assert started(jobs, cpus(3), held={"cpu-0", "cpu-1", "cpu-2", "GPU-gone"}) == {}


def test_a_job_takes_as_many_gpus_as_it_asks_for_the_emptiest_first():
    slots = gpus(3000, 9000, 5000) + cpus()
    assert started([make_job(job_id="a", gpus=2)], slots) == {"a": ["GPU-1", "GPU-2"]}
    assert started([make_job(job_id="a"), make_job(job_id="b")], slots) == {"a": ["GPU-1"], "b": ["GPU-2"]}


def test_a_job_for_the_cpu_takes_no_gpu_and_sees_none():
    placement, = choose([make_job(gpus=0)], (), gpus(9000) + cpus(), 0)
    assert [(slot.name, slot.visible) for slot in placement.slots] == [("cpu-0", "")]
    assert placement.warning == ""


@pytest.mark.parametrize(("wanted", "warning"), [(0, ""), (1, NO_GPU), (4, NO_GPU)])
def test_on_a_host_without_gpus_every_job_takes_one_cpu_slot_and_says_so(wanted, warning):
    placement, = choose([make_job(gpus=wanted)], (), cpus(2), 0)
    assert ([slot.name for slot in placement.slots], placement.warning) == (["cpu-0"], warning)


def test_a_gpu_that_others_have_filled_gets_no_new_job():
    jobs = [make_job(job_id="a"), make_job(job_id="b")]
    assert started(jobs, gpus(1023, 1024)) == {"a": ["GPU-1"]}
    assert started(jobs, gpus(100, 100)) == {}


def test_a_gpu_that_does_not_tell_its_memory_is_used():
    assert started([make_job(job_id="a")], gpus(None)) == {"a": ["GPU-0"]}


def test_what_is_free_is_kept_for_the_first_that_does_not_fit():
    jobs = [make_job(job_id="big", gpus=2), make_job(job_id="small")]
    assert started(jobs, gpus(9000, 9000), held={"GPU-0"}) == {}
    assert started(jobs, gpus(9000, 9000)) == {"big": ["GPU-0", "GPU-1"]}


def test_a_big_job_comes_to_its_turn_under_an_endless_stream_of_small_ones():
    slots, big = gpus(9000, 9000, 9000), make_job(job_id="big", gpus=3)
    waiting, live = [make_job() for _ in range(5)] + [big] + [make_job() for _ in range(5)], []
    for _ in range(20):
        for placement in choose(waiting, {slot.name for _, held in live for slot in held}, slots, 0):
            waiting.remove(placement.job)
            live.append((placement.job, placement.slots))
        if any(job is big for job, _ in live):
            return
        live = live[1:]  # one job ends, another one comes
        waiting.append(make_job())
    pytest.fail("the big job was never started")


def test_a_job_that_waits_for_gpus_keeps_nothing_from_jobs_for_the_cpu_and_from_viewers():
    jobs = [make_job(job_id="big", gpus=2, priority=9), make_job(job_id="cpu", gpus=0),
            make_job(job_id="view", light=True)]
    assert started(jobs, gpus(9000, 9000) + cpus(), held={"GPU-0"}) == {"cpu": ["cpu-0"], "view": ["light-0"]}


def test_nothing_is_kept_for_a_job_that_can_never_run():
    jobs = [make_job(job_id="impossible", gpus=3), make_job(job_id="a")]
    assert impossible(jobs[0], gpus(9000, 9000)) == ("asks for 3 GPUs, and there are 2 here", "ask for fewer with gpus")
    assert started(jobs, gpus(9000, 9000)) == {"a": ["GPU-0"]}


def test_viewers_have_places_of_their_own_and_share_the_emptiest_gpu():
    jobs = [make_job(job_id=name, light=True) for name in "abc"]
    placements = choose(jobs, {"light-1", "GPU-1"}, gpus(2000, 9000) + cpus(), 3)
    assert [(placement.job.job_id, [(slot.name, slot.visible) for slot in placement.slots])
            for placement in placements] == [("a", [("light-0", "GPU-1")]), ("b", [("light-2", "GPU-1")])]


def test_a_viewer_that_wants_no_gpu_sees_none():
    placement, = choose([make_job(light=True, gpus=0)], (), gpus(9000), 1)
    assert [(slot.name, slot.kind, slot.visible) for slot in placement.slots] == [("light-0", "cpu", "")]


def test_viewers_never_take_a_slot_of_training_and_training_none_of_theirs():
    viewers, training = [make_job(light=True) for _ in range(9)], [make_job() for _ in range(9)]
    first_viewer, first_training = viewers[0].job_id, training[0].job_id
    assert first_training in started(viewers + training, gpus(9000))
    assert first_viewer in started(training + viewers, gpus(9000))
    assert started(viewers, gpus(9000), held={"light-0", "light-1"}) == {}


@pytest.mark.parametrize(("job", "slots", "light_slots", "why"), [
    (make_job(gpus=1), gpus(9000), 0, None), (make_job(gpus=2), gpus(9000), 0, "asks for 2 GPUs, and there are 1 here"),
    (make_job(gpus=8), cpus(), 0, None),
    (make_job(gpus=0), gpus(9000), 0, "needs a cpu slot, and there are none here (--slots 0)"),
    (make_job(gpus=1), [], 0, "needs a cpu slot, and there are none here (--slots 0)"),
    (make_job(light=True, gpus=64), [], 1, None),
    (make_job(light=True), cpus(), 0, "needs a light slot, and there are none here (--light-slots 0)")])
def test_a_job_is_impossible_where_the_host_can_never_run_it(job, slots, light_slots, why):
    found = impossible(job, slots, light_slots)
    assert (found and found[0]) == why


@pytest.mark.parametrize(("job", "remedy"), [
    (make_job(gpus=0), "--slots 1"), (make_job(light=True), "--light-slots 1")])
def test_where_there_are_no_slots_the_remedy_names_the_option(job, remedy):
    found = impossible(job, gpus(9000), 0)
    assert found is not None
    assert remedy in found[1]


jobs = st.builds(lambda priority, wanted, light: make_job(priority=priority, gpus=wanted, light=light),
                 st.integers(0, 9), st.integers(0, 4), st.booleans())


@given(st.lists(jobs, max_size=30), st.lists(st.integers(0, 9000), max_size=4), st.integers(0, 3), st.integers(0, 3),
       st.data())
def test_whatever_waits_slots_are_given_once_and_the_order_is_kept(waiting, memory, cpu_slots, light_slots, data):
    slots = gpus(*memory) + cpus(cpu_slots)
    every_name = [slot.name for slot in slots] + [f"light-{number}" for number in range(light_slots)]
    held = data.draw(st.sets(st.sampled_from(every_name))) if every_name else set()
    placements = choose(waiting, held, slots, light_slots)
    given_names = [slot.name for placement in placements for slot in placement.slots]
    assert len(given_names) == len(set(given_names))
    assert not set(given_names) & held
    assert set(given_names) <= set(every_name)
    for placement in placements:
        job = placement.job
        assert impossible(job, slots, light_slots) is None
        assert len(placement.slots) == (job.gpus if job.gpus and memory and not job.light else 1)
    order = [(-placement.job.priority, placement.job.number) for placement in placements]
    assert order == sorted(order)


@given(st.lists(jobs, max_size=30), st.integers(0, 4), st.integers(1, 3))
def test_an_idle_host_starts_the_first_of_each_class_that_can_run(waiting, gpu_count, cpu_slots):
    slots = gpus(*[9000] * gpu_count) + cpus(cpu_slots)
    chosen = {placement.job.job_id for placement in choose(waiting, (), slots, 1)}
    firsts = {}
    for job in sorted(waiting, key=lambda job: (-job.priority, job.number)):
        if impossible(job, slots) is None:
            firsts.setdefault("light" if job.light else "gpu" if job.gpus and gpu_count else "cpu", job.job_id)
    assert set(firsts.values()) <= chosen
