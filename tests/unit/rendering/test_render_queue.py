"""The eleven promises of the render queue, with a renderer that does as it is told."""

import random
import sys
import threading
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.rendering.render_queue import FrameKey, RenderQueue, RenderRequest
from adaptive_nerf.rendering.types import Frame, Output, Quality, RenderCancelled
from tests.support.waiting import wait_until

DRAFT, FAST, FULL = Quality


def request(place=0.0, **kwargs):
    c2w = np.eye(3, 4)
    c2w[0, 3] = place
    return RenderRequest(Camera(8, 6, 8, 8, 4, 3, c2w, FrameName.ENU), frozenset({Output.RGB}), **kwargs)


def frame(place=0.0, quality=FULL, version=""):
    return Frame(request(place).camera, version, quality)


def place_of(picture):
    return float(picture.camera.c2w[0, 3])


@dataclass
class FakeRenderer:
    """Asks `cancelled` before each of its chunks; a rung named in `holds` waits at each chunk to be let go."""

    holds: set = field(default_factory=set)
    chunks: int = 1
    begun: list = field(default_factory=list)  # (place, quality)
    given_up: list = field(default_factory=list)
    chunks_begun: int = 0
    fails_with: Exception | None = None
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def render(self, camera, outputs, quality=FULL, cancelled=lambda: False):
        name = float(camera.c2w[0, 3]), quality
        self.begun.append(name)
        if self.fails_with is not None:
            raise self.fails_with
        for _ in range(self.chunks):
            if cancelled():
                self.given_up.append(name)
                raise RenderCancelled
            self.chunks_begun += 1
            if quality in self.holds:
                assert self.go.acquire(timeout=30)
        return Frame(camera, "fake", quality)


@pytest.fixture
def make_queue():
    """Queues over a renderer, closed at the end; the renderer is let go first."""
    made = []

    def make(renderer, on_ready=None):
        made.append((RenderQueue(renderer, on_ready), renderer))
        return made[-1][0]

    yield make
    for queue, renderer in made:
        if isinstance(renderer, FakeRenderer):
            renderer.go.release(10_000)
        queue.close()


def idle(queue, *, seq=1, epoch=0, quality=FULL):
    return lambda: queue.status().ready == (seq, epoch, quality) and queue.status().rendering is None


def pictures_of(queue, until):
    """Everything that is handed out, in order, until the queue is at rest."""
    seen = []

    def look():
        at_rest = until()
        picture = queue.get()
        if picture is not None:
            seen.append(picture)
        return at_rest

    wait_until(look, "the last picture", every_s=0.0005)
    return seen


def test_one_request_gives_a_series_that_only_gets_better(make_queue):
    renderer, shown = FakeRenderer(), []
    queue = make_queue(renderer, on_ready=lambda: shown.append(queue.get().quality))
    queue.update(request())
    wait_until(idle(queue), "full quality")
    assert shown == [DRAFT, FAST, FULL]
    assert queue.status().done


def test_a_series_ends_at_the_best_rung_that_was_asked_for(make_queue):
    queue = make_queue(renderer := FakeRenderer())
    queue.update(request(best=FAST))
    wait_until(idle(queue, quality=FAST), "the second rung")
    assert renderer.begun == [(0, DRAFT), (0, FAST)]


def test_a_picture_is_handed_out_once(make_queue):
    queue = make_queue(FakeRenderer())
    queue.update(request())
    wait_until(idle(queue), "full quality")
    assert queue.get().quality is FULL
    assert queue.get() is None
    assert queue.status().ready == (1, 0, FULL)


def test_a_late_picture_of_an_older_request_is_dropped(make_queue):
    queue = make_queue(FakeRenderer())
    assert queue.publish(FrameKey(2, 0, DRAFT), frame(2))
    assert place_of(queue.get()) == 2
    assert not queue.publish(FrameKey(1, 0, FULL), frame(1))
    assert queue.get() is None


def test_a_newer_picture_that_nobody_fetched_still_blocks_older_ones(make_queue):
    queue = make_queue(FakeRenderer())
    assert queue.publish(FrameKey(2, 0, DRAFT), frame(2))
    assert not queue.publish(FrameKey(1, 5, FULL), frame(1))
    assert not queue.publish(FrameKey(2, 0, DRAFT), frame(3))
    assert place_of(queue.get()) == 2


@pytest.fixture
def eager_threads():
    """The interpreter turns from thread to thread far more often than it usually does."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_threads")
def test_four_workers_cannot_bring_an_older_picture_back(make_queue):
    queue, done = make_queue(FakeRenderer()), threading.Event()
    begin = threading.Barrier(5)

    def publish(worker):
        draws = random.Random(worker)
        begin.wait(30)
        for step in range(20_000):
            key = FrameKey(max(0, step - draws.randrange(40)), draws.randrange(3), Quality(draws.randrange(3)))
            queue.publish(key, frame(version=key))

    workers = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    seen = []

    def read():
        begin.wait(30)
        while not done.is_set():
            if (picture := queue.get()) is not None:
                seen.append(picture.model_version)

    reader = threading.Thread(target=read)
    for thread in [*workers, reader]:
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    reader.join()
    assert len(seen) > 20
    assert all(before < after for before, after in pairwise(seen))


def test_the_same_request_again_changes_nothing(make_queue):
    queue = make_queue(renderer := FakeRenderer())
    queue.update(request(1))
    wait_until(idle(queue), "full quality")
    queue.update(request(1))
    queue.update(request(1, settings=frozenset()))
    wait_until(idle(queue, seq=2), "the picture with other settings")
    assert len(renderer.begun) == 6


def test_a_newer_request_gives_up_the_running_picture_within_one_chunk(make_queue):
    queue = make_queue(renderer := FakeRenderer(holds={FULL}, chunks=50))
    queue.update(request(1))
    wait_until(lambda: (1, FULL) in renderer.begun and queue.status().rendering == (1, 0, FULL), "the finest rung")
    wait_until(lambda: renderer.chunks_begun == 101, "its first chunk")
    queue.update(request(2, best=FAST))
    renderer.go.release()
    wait_until(idle(queue, seq=2, quality=FAST), "the picture of the newer request")
    assert renderer.given_up == [(1, FULL)]
    assert renderer.chunks_begun == 101 + 100


def test_a_moving_camera_still_gets_pictures(make_queue):
    """Each first rung is finished, although a newer request came while it was made."""
    queue = make_queue(renderer := FakeRenderer(holds={DRAFT}, chunks=3))
    queue.update(request(0))
    for place in range(1, 20):
        wait_until(lambda place=place: len(renderer.begun) == place, "the next first rung")
        queue.update(request(place))
        renderer.go.release(3)
        picture = wait_until(queue.get, "a picture while the camera moves")
        assert (place_of(picture), picture.quality) == (place - 1, DRAFT)
    assert all(quality is DRAFT for _, quality in renderer.begun)


def test_a_failing_picture_is_remembered_and_the_next_one_is_made(make_queue):
    queue = make_queue(renderer := FakeRenderer(fails_with=RuntimeError("the lights went out")))
    queue.update(request(1))
    wait_until(lambda: queue.status().error, "the failure")
    assert queue.status().error == "RuntimeError: the lights went out"
    assert queue.get() is None
    renderer.fails_with = None
    queue.update(request(2))
    wait_until(idle(queue, seq=2), "the next picture")
    assert queue.status().error == ""
    assert len(renderer.begun) == 4, "the failing one was tried once"


def test_closing_ends_the_worker_even_in_a_first_rung(make_queue):
    before = set(threading.enumerate())
    renderer = FakeRenderer(holds={DRAFT}, chunks=1000)
    queue = make_queue(renderer)
    queue.update(request())
    wait_until(lambda: renderer.chunks_begun, "the first chunk")
    closing = threading.Thread(target=queue.close)
    closing.start()
    wait_until(lambda: queue.publish(FrameKey(9, 0, FULL), frame()) is False, "closed for pictures")
    renderer.go.release()
    closing.join(30)
    assert set(threading.enumerate()) == before
    assert renderer.chunks_begun == 1
    queue.update(request(2))
    queue.close()


def test_two_people_do_not_disturb_each_other(make_queue):
    held = FakeRenderer(holds=set(Quality))
    slow, quick = make_queue(held), make_queue(FakeRenderer())
    slow.update(request(1))
    wait_until(lambda: held.begun, "the slow one at work")
    quick.update(request(2))
    wait_until(idle(quick), "the quick one's picture")
    assert slow.get() is None
    assert place_of(quick.get()) == 2


def test_a_changed_model_shows_in_a_still_view_without_turning_coarse(make_queue):
    queue = make_queue(renderer := FakeRenderer())
    queue.update(request(1))
    wait_until(idle(queue), "full quality")
    queue.model_changed()
    wait_until(idle(queue, epoch=1), "full quality of the changed model")
    assert [quality for _, quality in renderer.begun] == [DRAFT, FAST, FULL, FAST, FULL]


def test_a_steadily_changing_model_is_shown_and_yields_to_a_new_view(make_queue):
    renderer = FakeRenderer(holds={FAST}, chunks=2)
    queue = make_queue(renderer)
    queue.update(request(1, best=FAST))
    renderer.go.release(2)
    wait_until(idle(queue, quality=FAST), "the first model")
    queue.model_changed()
    wait_until(lambda: queue.status().rendering == (1, 1, FAST), "the second model")
    queue.model_changed()
    renderer.go.release(2)
    wait_until(lambda: queue.status().rendering == (1, 2, FAST), "the third model")
    assert queue.status().ready == (1, 1, FAST), "a first rung is shown although the model is newer"
    assert queue.status().stale
    queue.update(request(2, best=FAST))
    renderer.go.release(4)
    wait_until(idle(queue, seq=2, epoch=2, quality=FAST), "the new view")
    assert renderer.given_up == [(1, FAST)]


def test_whoever_asks_before_any_request_gets_nothing(make_queue):
    queue = make_queue(FakeRenderer())
    queue.model_changed()
    assert queue.get() is None
    assert queue.status().stale
