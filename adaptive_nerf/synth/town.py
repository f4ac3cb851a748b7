"""The whole output of a town: two flights, each with photos, truth and a COLMAP model. Whole or not there at all.

    <output>/{images,model,truth}          the first flight
    <output>/event/{images,model,truth}    the second flight, after the event
Built in a hidden folder beside the output; a killed run is gone on with, and ends in the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from adaptive_nerf.common.atomic_files import make_folder, refuse_existing, write_json
from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.common.parallel import in_processes
from adaptive_nerf.common.progress import track
from adaptive_nerf.common.say import say
from adaptive_nerf.common.workspace import publish, workspace
from adaptive_nerf.geometry.frames import SceneFrame, local_frame
from adaptive_nerf.synth.colmap_export import write_model
from adaptive_nerf.synth.events import EVENTS
from adaptive_nerf.synth.exposures import draw_exposure
from adaptive_nerf.synth.flights import FIELD_OF_VIEW_DEG, Flight, Pattern, fly
from adaptive_nerf.synth.influence import Influence, influence_between
from adaptive_nerf.synth.layout import Layout, make_layout
from adaptive_nerf.synth.light import SUN
from adaptive_nerf.synth.renderer import SAMPLES
from adaptive_nerf.synth.shots import (
    Shot,
    picture_and_truth,
    read_tracks,
    taken_at,
    tracks,
    tracks_path,
    write_shot,
)
from adaptive_nerf.synth.world import World, build_world

FORMAT_VERSION = 1
REFERENCE = (48.2, 16.4, 180.0)  # latitude deg, longitude deg, ellipsoidal height m of the town's middle
NOTES = ".tracks"
DAYS_TO_EVENT = 30


@dataclass(frozen=True)
class TownRequest:
    seed: int = 0
    size_m: tuple[float, float] = (160.0, 120.0)
    photos: int = 48
    event_photos: int = 16
    resolution: tuple[int, int] = (384, 288)
    altitude_m: float = 60.0
    flight: Pattern = "mixed"
    event: str = "collapse"
    exposure_jitter: float = 0.12

    def checked(self) -> TownRequest:
        limits = [("--seed", self.seed, 0, 2**32 - 1), ("--photos", self.photos, 2, 9999),
                  ("--event_photos", self.event_photos, 2, 9999), ("--altitude", self.altitude_m, 30, 500),
                  ("--exposure_jitter", self.exposure_jitter, 0, 2),
                  *(("--size", extent, 40, 1000) for extent in self.size_m),
                  *(("--resolution", side, 16, 8192) for side in self.resolution)]
        for flag, value, least, most in limits:
            if not least <= value <= most:
                raise BadUsage(f"{flag} {value:g} is out of range; give {least} to {most}")
        return self

    @property
    def second_flight(self) -> bool:
        return self.event != "none"


@dataclass(frozen=True)
class Task:
    request: TownRequest
    folder: Path
    after: bool
    rank: int


def make_town(request: TownRequest, output: Path, jobs: int, force: bool = False) -> dict[str, Any]:
    """Make the town, or go on with it where a killed run left off. Returns a summary."""
    request.checked()
    refuse_existing(output, force, "truth")
    inputs = json.loads(json.dumps({"format_version": FORMAT_VERSION, **asdict(request)}))
    with workspace(output, inputs) as building:
        flights = [False, True] if request.second_flight else [False]
        for after in flights:
            for name in ("images", "truth", NOTES):
                make_folder(_flight_folder(building, after) / name)
        tasks = [Task(request, building, after, rank)
                 for after in flights for rank in range(len(shots_of(request, after)))]
        missing = [task for task in tasks if not _is_done(task)]
        if missing:
            say("building the town" + (", before and after the event" if request.second_flight else ""))
            influence(request)  # builds the worlds here, so that all workers share them
        for _ in track(in_processes(do_shot, missing, jobs), len(missing), "photos"):
            pass
        summary = {"output": str(output), "flights": [_finish(request, building, after) for after in flights]}
        publish(building, output, force, [_flight_folder(building, after) / NOTES for after in flights])
    return summary


def _flight_folder(root: Path, after: bool) -> Path:
    return root / "event" if after else root


def _is_done(task: Task) -> bool:
    shot = shots_of(task.request, task.after)[task.rank]
    return tracks_path(_flight_folder(task.folder, task.after) / NOTES, shot).exists()


@cache
def shots_of(request: TownRequest, after: bool) -> tuple[Shot, ...]:
    """The photos of one flight, by name."""
    count, purpose = (request.event_photos, "event") if after else (request.photos, "town")
    flight = Flight(request.flight, count, request.resolution, request.altitude_m)
    cameras = fly(flight, request.size_m, request.seed, purpose)
    return tuple(Shot(rank, f"{purpose}_{rank + 1:04d}.jpg", camera,
                      draw_exposure(request.seed, purpose, rank, request.exposure_jitter),
                      taken_at(DAYS_TO_EVENT if after else 0, rank)) for rank, camera in enumerate(cameras))


@cache
def layouts(request: TownRequest) -> tuple[Layout, Layout | None]:
    """Before and after the event."""
    before = make_layout(request.seed, request.size_m)
    return before, EVENTS[request.event](before) if request.second_flight else None


@cache
def world(request: TownRequest, after: bool) -> World:
    """Built once, before the workers are forked."""
    layout = layouts(request)[after]
    if layout is None:
        raise BadUsage("there is no event in this town")
    return build_world(layout)


@cache
def influence(request: TownRequest) -> Influence | None:
    """Where the event can have changed what is seen; None where nothing happens."""
    before, after = layouts(request)
    first = world(request, False)
    return influence_between(first, world(request, True), (before, after)) if after else None


def do_shot(task: Task) -> None:
    """Make and write one photo with its truth; runs in a worker."""
    request, after = task.request, task.after
    shots = shots_of(request, after)
    shot = shots[task.rank]
    other = world(request, not after) if request.second_flight else None
    made = picture_and_truth(shot, world(request, after), other, influence(request))
    folder = _flight_folder(task.folder, after)
    places = tracks(shot, list(shots), world(request, after), made["photo"], request.seed)
    write_shot(folder, folder / NOTES, shot, made, places)


def _finish(request: TownRequest, building: Path, after: bool) -> dict[str, Any]:
    """Model and metadata of one flight, when all its photos are there."""
    folder, shots, frame = _flight_folder(building, after), shots_of(request, after), local_frame(REFERENCE)
    places = [read_tracks(tracks_path(folder / NOTES, shot)) for shot in shots]
    points = write_model(folder / "model", list(shots), places, frame)
    write_json(folder / "truth" / "metadata.json", metadata(request, after))
    return {"flight": "after the event" if after else "first", "photos": len(shots), "points": points}


def metadata(request: TownRequest, after: bool) -> dict[str, Any]:
    """What a person or a program wants to know of one flight."""
    shots = shots_of(request, after)
    camera = shots[0].camera
    frame: SceneFrame = local_frame(REFERENCE)
    return {
        "format_version": FORMAT_VERSION,
        "about": "c2w maps camera axes right, up, back (OpenGL) to ENU metres at the reference; depth is metres along "
                 "the optical axis, NaN where nothing is seen; normals are in camera axes",
        "reference": dict(zip(("latitude_deg", "longitude_deg", "height_m"), REFERENCE, strict=True)),
        "frame": frame.describe(),
        "seed": request.seed, "size_m": list(request.size_m), "event": request.event,
        "flight": {"pattern": request.flight, "altitude_m": request.altitude_m, "after_event": after},
        "intrinsics": {"model": "PINHOLE", "width": camera.width, "height": camera.height, "fx": camera.fx,
                       "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "field_of_view_deg": FIELD_OF_VIEW_DEG},
        "render": {"samples_per_pixel": len(SAMPLES), "sun_azimuth_deg": SUN.azimuth_deg,
                   "sun_elevation_deg": SUN.elevation_deg, "exposure_jitter_stops": request.exposure_jitter},
        "photos": list(_photo_records(request, shots)),
    }


def _photo_records(request: TownRequest, shots: tuple[Shot, ...]) -> Iterator[dict[str, Any]]:
    kinds = ("depth", "normal", "mask", *(("change",) if request.second_flight else ()))
    for shot in shots:
        c2w = shot.camera.c2w
        yield {"image": shot.name, **{kind: f"{shot.stem}_{kind}.npy" for kind in kinds},
               "captured_at": shot.taken_at.isoformat(),
               "camera_to_world": c2w.tolist(),
               "pose": {"position_enu_m": c2w[:, 3].tolist(), "forward_enu": (-c2w[:, 2]).tolist(),
                        "up_enu": c2w[:, 1].tolist()},
               "exposure": shot.exposure.to_json()}
