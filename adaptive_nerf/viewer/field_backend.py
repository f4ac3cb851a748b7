"""The backend of a real `view` job: the trained model of a checkpoint, read while the page is open already."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from adaptive_nerf.common.errors import AdaptiveNerfError, BadData, BadInput, Failure
from adaptive_nerf.common.memory import ran_out_of_memory
from adaptive_nerf.common.run_progress import Run
from adaptive_nerf.data.masks import open_partition
from adaptive_nerf.data.scene import Scene, with_new_flights
from adaptive_nerf.jobs.spec import View
from adaptive_nerf.models.city import City
from adaptive_nerf.models.mixture import Mixture
from adaptive_nerf.pipelines.opening import Places, checkpoint_of
from adaptive_nerf.viewer.backend import ModelNow, PointsNow, SoloRenderer
from adaptive_nerf.viewer.checkpoint_choices import checkpoints_beside
from adaptive_nerf.viewer.considerate import Considerate
from adaptive_nerf.viewer.field_adaptation import FieldAdaptation
from adaptive_nerf.viewer.field_models import Shown, boxes_of, newest, point_at, shown, solo, write_shown
from adaptive_nerf.viewer.interlaced import Interlaced
from adaptive_nerf.viewer.status_words import ModelState
from adaptive_nerf.viewer.survey_points import model_folders, survey_points

FOLLOW_EVERY_S, STATES_FRESH_S = 2.0, 2.0
BEFORE = "Before the adaptation"
LOAD_ERRORS = (AdaptiveNerfError, OSError, MemoryError, RuntimeError)
log = logging.getLogger(__name__)


class NoModel(BadInput):
    def __init__(self) -> None:
        super().__init__("there is no model yet; wait until one is loaded")


class FieldBackend:
    def __init__(self, run: Run[View], scene: Scene):
        """BadInput where the job names a checkpoint that is not there, and does not wait for one."""
        self.scene = scene
        self._run = run
        first = None if run.spec.follow else checkpoint_of(run, scene).folder
        self._lock = threading.Lock()  # of all below
        self._subscribers: list[Callable[[], None]] = []
        self._base: Shown | None = None
        self._kept: list[Shown] = []  # what undo goes back to
        self._begins = False  # an adaptation: its photos are being read, for the base of that moment
        self._live: FieldAdaptation | None = None
        self._looked_s = 0.0  # spent on pictures since a learning model was shown last
        self._newer = ""  # a checkpoint of the job that is followed, left alone
        self._saved = ""  # the version that was saved last
        self._written: tuple[Shown, Path] | None = None  # what was kept last, and where it lies
        self._now = self._beginning()
        self._states: tuple[float, dict[str, Path]] = (-STATES_FRESH_S, {})
        self._others: dict[str, SoloRenderer] = {}  # the one that was compared with last
        self._points = PointsNow()
        self._closed = threading.Event()
        self._threads = (threading.Thread(target=self._load, args=(first,), name="model loader"),
                         threading.Thread(target=self._read_points, name="points reader"))
        for thread in self._threads:
            thread.start()

    def _beginning(self) -> ModelNow:
        spec = self._run.spec
        boxes = open_partition(self.scene, spec.mask_dirname).boxes if spec.mask_dirname else ()
        if not spec.follow:
            return ModelNow(ModelState.LOADING, expert_boxes=boxes)
        why = self._what_it_waits_for()
        log.info("no model yet: %s", why)
        return ModelNow(ModelState.NONE, why, expert_boxes=boxes)

    def _what_it_waits_for(self) -> str:
        path = self._run.spec.checkpoint_path
        if not path:
            return "none will come, for the job's checkpoint_path names no training to wait for; send it again with one"
        if not Places.of(self._run).candidates(path):
            return f"none will come, for checkpoint_path {path} lies outside of what this service may read"
        return f"waiting for a checkpoint of {path}"

    def look_for_flights(self) -> None:
        try:
            self.scene = with_new_flights(self.scene)
        except (BadData, OSError) as error:
            self._run.progress.warn(f"a later flight cannot be read: {error}")
            return
        for warning in self.scene.warnings:
            self._run.progress.warn(warning)

    def points(self) -> PointsNow:
        return self._points

    def _read_points(self) -> None:
        now = PointsNow(words="the COLMAP model that the scene was prepared from is not beside it")
        for folder in model_folders(self.scene.root, Path(self._run.spec.data_path), self._run.roots):
            try:
                points = survey_points(self.scene, folder, self._closed.is_set)
                now = PointsNow(points) if points else PointsNow(words=f"{folder.parent.name}/model is of other photos")
            except LOAD_ERRORS as error:
                if self._closed.is_set():
                    return
                self._run.progress.warn(f"the points of the survey are not shown: {error}")
                now = PointsNow(words=_words_of(error))
            if now.points is not None:
                break
        self._points = now
        self._become(new_picture=False)

    def model(self) -> ModelNow:
        with self._lock:
            return replace(self._now, notice=self._why_no_newer())

    def _why_no_newer(self) -> str:
        """Where it follows a job and leaves newer checkpoints alone: they would throw away what people learned here."""
        if not self._run.spec.follow or not (self._kept or (self._learns_here() and self._newer)):
            return ""
        newer, job = f"{self._newer} is there. " if self._newer else "", self._run.spec.checkpoint_path
        if self._kept:
            return f"Since Keep, newer checkpoints of {job} are not taken. {newer}Undo keep takes them again."
        return f"Of {job}, {newer}It is taken after Reset; after Keep none is."

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        with self._lock:
            self._subscribers.append(changed)

        def end() -> None:
            with self._lock:
                if changed in self._subscribers:
                    self._subscribers.remove(changed)

        return end

    def _become(self, *, new_picture: bool = True, **news: object) -> None:
        with self._lock:
            epoch = self._now.epoch + int(new_picture)
            self._now = replace(self._now, epoch=epoch, **news)  # type: ignore[arg-type]
            subscribers = list(self._subscribers)
        for changed in subscribers:
            changed()

    def _load(self, first: Path | None) -> None:
        """The model that the job names; where it follows another job, each newer one."""
        loaded = None
        while True:
            wanted = first or newest(self._run)
            is_newer, busy = wanted is not None and wanted != loaded, self._is_busy()
            with self._lock:
                self._newer = wanted.name if wanted is not None and is_newer and busy else ""
            if wanted is not None and is_newer and not busy:
                loaded = wanted if self._open(wanted) else loaded
            if not self._run.spec.follow or self._closed.wait(FOLLOW_EVERY_S):
                return

    def _is_busy(self) -> bool:
        with self._lock:
            return self._learns_here()

    def _learns_here(self) -> bool:
        """What people are learning here, or are about to, is not thrown away for a newer checkpoint."""
        return self._begins or self._live is not None or bool(self._kept)

    def _open(self, folder: Path) -> bool:
        former = self.model()
        self._become(new_picture=False, state=ModelState.LOADING, words=folder.name)
        try:
            base = shown(self._run, self.scene, folder)
        except LOAD_ERRORS as error:
            if self._run.spec.follow and not folder.exists():  # its job has thrown it away meanwhile
                return self._leave_as(former)
            log.error("the model could not be opened: %s", error)
            self._become(new_picture=False, state=ModelState.FAILED, words=_words_of(error))
            return True
        with self._lock:
            busy = self._learns_here()
            self._base = self._base if busy else base
        if busy:
            return self._leave_as(former)
        log.info("showing %s", base.version)
        self._show(base.renderer, base.version, state=ModelState.READY, words=base.version,
                   expert_boxes=boxes_of(base.checkpoint))
        return True

    def _leave_as(self, former: ModelNow) -> bool:
        self._become(new_picture=False, state=former.state, words=former.words)
        return False

    def states(self) -> list[str]:
        before = [BEFORE] if self._is_busy() else []
        return before + list(self._checkpoints())

    def _checkpoints(self) -> dict[str, Path]:
        with self._lock:
            (read_at, found), base = self._states, self._base
        if base is not None and time.monotonic() - read_at > STATES_FRESH_S:
            found = checkpoints_beside(base.checkpoint.folder, self._run.out)
            with self._lock:
                self._states = time.monotonic(), found
        return found

    def renderer_of(self, state: str) -> SoloRenderer:
        with self._lock:
            base = self._kept[0] if self._kept else self._base
            other = self._others.get(state)
        if state == BEFORE and base is not None:
            return self._for_people(base.renderer)
        if other is None:
            folder = self._checkpoints().get(state)
            if folder is None:
                raise BadInput(f"{state} is gone; choose another one")
            other = self._for_people(self._opened(folder).renderer)
            with self._lock:
                self._others = {state: other}
        return other

    def _opened(self, folder: Path) -> Shown:
        try:
            return shown(self._run, self.scene, folder)
        except AdaptiveNerfError:
            raise
        except LOAD_ERRORS as error:
            raise Failure(_words_of(error)) from error

    def _is_learning(self) -> bool:
        live = self._live
        return live is not None and live.is_learning()

    def begin_adaptation(self, flight: str) -> FieldAdaptation:
        if flight not in self.scene.flights:
            raise BadInput(f"there is no later flight {flight}; update_dataset.py adds one")
        with self._lock:
            if self._base is None:
                raise NoModel
            base, self._begins, self._live = self._base, True, None
        try:
            live = FieldAdaptation(self._run, self.scene, base.whole(self._run, self.scene), flight, self._show_live,
                                   self._settle, lambda: self._looked_s)
            with self._lock:
                self._live = live
        finally:
            with self._lock:
                self._begins = False
        return live

    def _require_base(self) -> Shown:
        with self._lock:
            if self._base is None:
                raise NoModel
            return self._base

    def _show_live(self) -> None:
        base, live = self._require_base(), self._live
        with self._lock:
            self._looked_s = 0.0
        if live is not None:
            version = _version(base, live)
            self._show(live.live_model().mixture(version, self._run.spec.chunk_points), version)

    def _show(self, renderer: Mixture | City, version: str, **news: object) -> None:
        self._become(renderer=self._for_people(renderer), version=version, **news)

    def _for_people(self, renderer: Mixture | City) -> SoloRenderer:
        return Considerate(Interlaced(solo(renderer)), self._is_learning, self._looked)

    def _looked(self, seconds: float) -> None:
        with self._lock:
            self._looked_s += seconds

    def _as_it_stands(self) -> Shown:
        """What is shown, as a copy that does not change any more."""
        base, live = self._require_base(), self._live
        if live is None or live.steps == 0:
            return base
        return base.learned(live.model(base.checkpoint.digest), _version(base, live), live.touched,
                            self._run.spec.chunk_points)

    def _settle(self, keep: bool) -> None:
        base = self._require_base()
        kept = self._as_it_stands() if keep else base
        with self._lock:
            if kept is not base:
                self._kept.append(base)
            self._base, self._live = kept, None
        self._show(kept.renderer, kept.version)

    def undo(self) -> None:
        with self._lock:
            base = self._base = self._kept.pop() if self._kept else self._base
            self._live = self._written = None  # also of a flight that was begun, and of which nothing was learned
        if base is not None:
            self._show(base.renderer, base.version)

    def can_undo(self) -> bool:
        with self._lock:
            return bool(self._kept)

    def write_kept(self) -> Path:
        base = self._require_base()
        place = write_shown(self._run, self.scene, base)
        with self._lock:
            self._written = base, place
        return place.relative_to(self._run.out)

    def save(self) -> Path:
        what, written = self._as_it_stands(), self._written
        is_there = written is not None and written[0] is what
        place = written[1] if written is not None and is_there else write_shown(self._run, self.scene, what)
        point_at(self._run, place)
        self._saved = what.version
        return place.relative_to(self._run.out)

    def has_unsaved(self) -> bool:
        """Whether something was learned that no checkpoint holds."""
        with self._lock:
            base, live = self._base, self._live
        if base is None:
            return False
        if live is not None and live.steps > 0:
            return self._saved != _version(base, live)
        return bool(base.touched) and self._saved != base.version

    def drop_unkept(self) -> None:
        with self._lock:
            self._live = None

    def close(self) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join()


def _words_of(error: BaseException) -> str:
    return "memory ran out" if ran_out_of_memory(error) else str(error) or type(error).__name__


def _version(base: Shown, live: FieldAdaptation) -> str:
    return f"{base.version} + {live.steps} steps on {live.flight}"
