"""Where a message's paths may lead: resolved, symbolic links and all, and inside one of the roots, or refused.

Relative paths are meant from the folder that the mediator runs in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from adaptive_nerf.jobs.fields import Envelope
from adaptive_nerf.jobs.message import FieldError

PLAIN_PATHS = ("keyframes", "lpips_weights")
NAMES_BELOW = {"data_dirname": ("out",), "mask_dirname": ("masks",), "batch": ("continual",)}
OUTSIDE = "leads outside of the folders that jobs may use"
ROOTS_VARIABLE = "ADAPTIVE_NERF_ROOTS"


@dataclass(frozen=True)
class Roots:
    """The folders that jobs may read, all resolved; job ids are looked up in `logs`, which is one of them."""

    start: Path
    logs: Path
    folders: tuple[Path, ...]

    @classmethod
    def of(cls, logs: Path, folders: Iterable[Path], start: Path | None = None) -> Roots:
        begin = (start or Path.cwd()).resolve()
        named = [(begin / folder).resolve() for folder in (*folders, logs)]
        return cls(begin, (begin / logs).resolve(), tuple(dict.fromkeys(named)))

    def environment(self) -> str:
        return os.pathsep.join(map(str, self.folders))

    def hold(self, path: Path) -> bool:
        """Whether the path, wherever its links lead, lies inside of a root."""
        try:
            resolved = (self.start / path).resolve()
        except (OSError, ValueError, RuntimeError):  # a null byte, a name too long, links in a circle
            return False
        return any(resolved.is_relative_to(folder) for folder in self.folders)


def checkpoint_places(value: str, roots: Roots) -> list[Path]:
    """Where a checkpoint_path may be meant: a job's id or folder, with or without a leading logs/, or a plain path."""
    path = Path(value)
    within_logs = path.relative_to("logs") if path.parts[:1] == ("logs",) else path
    places = [path] if path.is_absolute() else [roots.logs / within_logs, roots.start / path]
    return [place for place in places if roots.hold(place)]


def refused_paths(job: Envelope, roots: Roots) -> list[FieldError]:
    """What of a job's paths is not allowed, field by field; values are not quoted."""
    given = {name: value for name, value in vars(job).items() if isinstance(value, str) and value}
    errors = [_outside(name, roots) for name in ("data_path", *PLAIN_PATHS)
              if name in given and not roots.hold(Path(given[name]))]
    if "checkpoint_path" in given and not checkpoint_places(given["checkpoint_path"], roots):
        errors.append(_outside("checkpoint_path", roots))
    errors += [FieldError(f"/{name}", "is no plain name", f"it is looked up in .../{'/'.join(below)}")
               for name, below in NAMES_BELOW.items() if name in given and not _plain(given[name])]
    if not errors:
        errors += [_outside(name, roots) for name, place in _scene_places(given) if not roots.hold(place)]
    return errors


def _scene_places(given: dict[str, str]) -> list[tuple[str, Path]]:
    base = Path(given.get("data_path", "."))
    scene = base / "out" / given["data_dirname"] if "data_dirname" in given else base
    places = [("data_dirname", scene)] if "data_dirname" in given else []
    return places + [(name, scene / NAMES_BELOW[name][0] / given[name])
                     for name in ("mask_dirname", "batch") if name in given]


def _plain(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _outside(name: str, roots: Roots) -> FieldError:
    allowed = ", ".join(_short(folder, roots.start) for folder in roots.folders)
    return FieldError(f"/{name}", OUTSIDE, f"allowed: {allowed}; more with --root")


def _short(folder: Path, start: Path) -> str:
    return str(folder.relative_to(start)) if folder.is_relative_to(start) and folder != start else str(folder)
