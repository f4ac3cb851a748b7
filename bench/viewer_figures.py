"""Each figure of the page, as an operator meets it."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from websockets.exceptions import ConnectionClosed

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.geodesy import ecef_from_geodetic
from adaptive_nerf.viewer.display import Mode
from bench.harness import Figure
from bench.jobs_here import RUNNER
from bench.viewer_page import WINDOW, Operator, ViewJob
from bench.viewer_truth import Truth
from tests.support.page_client import is_picture

Pixel = npt.NDArray[np.float64]  # [2] of the window
Place = npt.NDArray[np.float64]  # [3] ENU metres
TURNS = (0, 3, 6, 9)
FAR, NEAR = 1.0, 0.4  # shares of the overview's distance
CLICKS, TIMED_CLICKS, SEED = 200, 10, 7
TOLD = re.compile(r"\*\*Point (\d+)\*\*: (-?[\d.]+)°, (-?[\d.]+)°, (-?[\d.]+) m above")
STEP = re.compile(r"step (\d+) of (\d+)")
FIRST_STEPS = 0.25  # of an adaptation, not counted: photos are read, caches are cold
CALM_AFTER, MOVES_A_S = 0.2, 5  # of the time of the clients: by then the server holds what it needs


def first_sight(job: ViewJob, scene: Scene) -> Iterator[Figure]:
    """From the start of the process, by a browser that comes as soon as the page is open."""
    with job.operator(scene) as operator:
        seen: dict[str, float] = {}
        while not {"CameraFrustumMessage", "PointCloudMessage", "picture"} <= set(seen):
            for message in operator.messages():
                kind = "picture" if is_picture(message) else message["type"]
                seen.setdefault(kind, time.monotonic() - job.began)
    yield Figure("first_picture_s", max(seen["CameraFrustumMessage"], seen["PointCloudMessage"]), "s", 3, "lower")
    yield Figure("first_frame_s", seen["picture"], "s", 6, "lower")


def moves(operator: Operator) -> Iterator[Figure]:
    """Medians over views from afar and from near."""
    coarse, full = [], []
    for share, turn in itertools.product((FAR, NEAR), TURNS):
        operator.wait_for_silence()
        pictures = operator.pictures_of(operator.around(share, turn + 1))
        coarse.append(pictures[0][0])
        full.append(pictures[-1][0])
    yield Figure("coarse_frame_ms", 1000 * statistics.median(coarse), "ms", 300, "lower")
    yield Figure("coarse_frame_worst_ms", 1000 * max(coarse), "ms", better="lower")
    yield Figure("full_frame_s", statistics.median(full), "s", 3, "lower")
    yield Figure("full_frame_worst_s", max(full), "s", better="lower")


def mode_changes(operator: Operator) -> Iterator[Figure]:
    took = []
    for mode in (Mode.DEPTH, Mode.OPACITY, Mode.NORMAL, Mode.EXPERT, Mode.COLOUR):
        operator.wait_for_silence()
        began = time.monotonic()
        operator.set("Show", mode.value)
        operator.wait_for_picture()
        took.append(time.monotonic() - began)
    yield Figure("mode_change_ms", 1000 * statistics.median(took), "ms", 150, "lower")


def clicks(job: ViewJob, scene: Scene, truth: Truth) -> Iterator[Figure]:
    """Where roofs and streets really are in the picture, some of their pixels are clicked; each view by a person of its
    own, since a page keeps no more than some hundred places."""
    random = np.random.default_rng(SEED)
    took_s: list[float] = []
    errors_m: list[float] = []
    for share, turn in itertools.product((FAR, NEAR), TURNS):
        pixels = random.permutation(np.stack(np.meshgrid(*map(np.arange, WINDOW)), -1).reshape(-1, 2))[:6000] + 0.5
        with job.operator(scene) as operator:
            view = operator.around(share, turn)
            places, wanted = truth.at(operator.camera(view), pixels)
            operator.wait_for_picture()
            for somewhere in (operator.around(share, turn + 1), view):  # from elsewhere, so that the view is a new one
                operator.wait_for_silence()
                operator.pictures_of(somewhere)
            operator.wait_for_silence()
            operator.set("Click for", "Point")
            aimed = itertools.islice(zip(pixels[wanted], places[wanted], strict=True), CLICKS)
            for seconds, error_m in _clicked(operator, aimed):
                took_s.append(seconds)
                errors_m.append(error_m)
    yield from click_figures([took for took in took_s if took < math.inf], errors_m)


def _clicked(operator: Operator, aimed: Iterable[tuple[Pixel, Place]]) -> Iterator[tuple[float, float]]:
    """Seconds until each is answered, and metres by which the answer is wrong; infinite where nothing is there."""
    told = 0
    for pixel, place in aimed:
        seconds, found = _click(operator, pixel, told + 1)
        told += found is not None
        error_m = math.inf if found is None else float(np.linalg.norm(_enu(found, operator.scene) - place))
        yield (math.inf if found is None else seconds), error_m


def click_figures(took_s: list[float], errors_m: list[float]) -> Iterator[Figure]:
    """Seconds of the clicks that were answered with a place; errors of all, infinite of those that were not."""
    missed = [math.inf]
    with np.errstate(invalid="ignore"):  # between two that are infinite there is no number
        p95_m = float(np.percentile(errors_m or missed, 95))
    yield Figure("click_ms", 1000 * statistics.median(took_s[:TIMED_CLICKS] or missed), "ms", 300, "lower")
    yield Figure("click_error_p95_m", p95_m, "m", 0.5, "lower")
    yield Figure("click_error_median_m", statistics.median(errors_m or missed), "m", better="lower")


def _click(operator: Operator, pixel: Pixel, number: int) -> tuple[float, list[float] | None]:
    """Seconds until the page tells the coordinates, and those; None where it says that nothing is there."""
    found: list[list[float] | None] = []

    def is_told() -> bool:
        for text in operator.texts():
            if (match := TOLD.search(text.replace("\\", ""))) and int(match[1]) == number:
                found.append([float(value) for value in match.groups()[1:]])
            elif text.startswith("Nothing is there"):
                found.append(None)
        return bool(found)

    seconds = operator.seconds_until(lambda: operator.click(pixel[0] / WINDOW[0], pixel[1] / WINDOW[1]), is_told)
    if found[0] is None:
        operator.set("Click for", "Point")  # the words go back to what they were
        operator.wait_until(lambda: not any(text.startswith("Nothing is there") for text in operator.texts()))
    return seconds, found[0]


def _enu(lat_lon_height: list[float], scene: Scene) -> Place:
    return scene.frame.convert(FrameName.ECEF, FrameName.ENU).points(ecef_from_geodetic(np.array(lat_lon_height)))


def adaptation(operator: Operator, alone: float, steps: int) -> Iterator[Figure]:
    """Steps a second on the page, whose view follows, against those of the operation `adapt` alone."""
    watched = _steps_a_second_on_page(operator, steps, lambda: None)
    turns = itertools.count()
    moving = _steps_a_second_on_page(operator, steps, lambda: operator.go(operator.around(FAR, next(turns) % 12)))
    yield Figure("adapt_throughput_pct", 100 * watched / alone, "%", 70)
    yield Figure("adapt_throughput_moving_pct", 100 * moving / alone, "%")
    yield Figure("adapt_steps_per_s", alone, "1/s")


def steps_a_second_alone(spec: dict[str, object], flight: str, out: Path, steps: int) -> float:
    """Of the operation `adapt` on that flight."""
    spec = spec | {"op": "adapt", "batch": flight, "tto": [steps]}
    out.with_suffix(".json").write_text(json.dumps(spec))
    process = subprocess.Popen([sys.executable, str(RUNNER), "--configPath", str(out.with_suffix(".json")), "--out",
                                str(out)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    counted = Counted(steps)
    while process.poll() is None:
        if (out / "progress.json").exists():
            counted.told(int(json.loads((out / "progress.json").read_bytes())["step"]))
        time.sleep(0.02)
    if process.returncode:
        raise Failure(f"an adaptation failed with code {process.returncode}; see {out / 'log.txt'}")
    return counted.a_second


def _steps_a_second_on_page(operator: Operator, steps: int, each_second: Callable[[], None]) -> float:
    operator.wait_for_silence()
    operator.set("Steps", steps)
    operator.set("Learn", "Start")
    counted, moved = Counted(steps), time.monotonic()

    def done() -> bool:
        nonlocal moved
        for text in operator.texts():
            if match := STEP.search(text):
                counted.told(int(match[1]))
        if time.monotonic() - moved > 1:
            moved = time.monotonic()
            each_second()
        return any(f"Paused after step {steps}" in text for text in operator.texts())

    operator.wait_until(done, 600)
    counted.told(steps)
    operator.set("Then", "Reset")
    operator.wait_until(lambda: any("Nothing is being learned" in text for text in operator.texts()))
    return counted.a_second


@dataclass
class Counted:
    """Steps as they are told, from a share of all on."""

    of: int
    seen: dict[int, float] = field(default_factory=dict)

    def told(self, step: int) -> None:
        if step >= self.of * FIRST_STEPS:
            self.seen.setdefault(step, time.monotonic())

    @property
    def a_second(self) -> float:
        first, last = min(self.seen), max(self.seen)
        return (last - first) / (self.seen[last] - self.seen[first])


def crowd(job: ViewJob, scene: Scene, people: int, seconds: float) -> Iterator[Figure]:
    """Many at once, each moving all the time, and reading what the page sends."""
    lost, ended = itertools.count(), threading.Event()
    threads = [threading.Thread(target=_wander, args=(job, scene, number, ended, lost)) for number in range(people)]
    for thread in threads:
        thread.start()
    began, memory = time.monotonic(), []
    while (now := time.monotonic() - began) < seconds:
        memory.append((now, job.memory_mib()))
        time.sleep(min(1.0, seconds / 100))
    ended.set()
    for thread in threads:
        thread.join()
    early = [mib for at, mib in memory if CALM_AFTER * seconds <= at < (CALM_AFTER + 0.1) * seconds]
    late = [mib for at, mib in memory if at >= 0.9 * seconds]
    yield Figure("clients_lost", next(lost), "", 0, "lower")
    yield Figure("memory_growth_mib", statistics.median(late) - statistics.median(early), "MiB", 20, "lower")
    yield Figure("memory_mib", statistics.median(late), "MiB", better="lower")


def _wander(job: ViewJob, scene: Scene, number: int, ended: threading.Event, lost: itertools.count[int]) -> None:
    """One more in `lost` where the connection ends, or no picture comes at all for half a minute."""
    steps = itertools.count(number)
    try:
        with job.operator(scene) as operator:
            moved = pictured = time.monotonic()
            while not ended.is_set():
                now = time.monotonic()
                if now - moved >= 1 / MOVES_A_S:
                    moved = now
                    step = next(steps)
                    operator.go(operator.around(NEAR + (1 - NEAR) * (number % 4) / 3, 0.05 * step))
                with contextlib.suppress(TimeoutError):
                    pictured = now if any(map(is_picture, operator.messages(1 / MOVES_A_S))) else pictured
                if now - pictured > 30:
                    raise Failure("no picture came")
    except (ConnectionClosed, OSError, Failure):
        next(lost)
