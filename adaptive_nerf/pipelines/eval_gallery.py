"""The pictures that an evaluation leaves: gt/, pred/, error/ and depth/ as PNG, and small ones for the report.

    gt/<photo>.png   pred/<steps>/<photo>.png   error/<steps>/<photo>.png   depth/<steps>/<photo>.png
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.pipelines.pictures import (
    Scale,
    depth_pixels,
    depth_scale,
    error_pixels,
    photo_pixels,
    small_jpeg,
    write_png,
)
from adaptive_nerf.pipelines.report import Strip
from adaptive_nerf.rendering.types import Frame

WIDEST_PX = 512  # in the report
MOST_STRIPS = 96  # in the report, evenly over the photos: one page has to open on a phone


@dataclass
class Gallery:
    folder: Path
    names: dict[str, str]  # of the files, by the photo's stem
    shown: frozenset[str]  # stems of those in the report
    _small: dict[tuple[str, str], bytes] = field(default_factory=dict)  # by stem and what it shows
    _scales: dict[str, Scale] = field(default_factory=dict)  # of a photo's depth maps, so that they compare

    @classmethod
    def of(cls, folder: Path, photos: Sequence[LoadedPhoto]) -> Gallery:
        stems = [loaded.photo.stem for loaded in photos]
        share = max(1.0, len(stems) / MOST_STRIPS)
        shown = {stems[int(place * share)] for place in range(min(MOST_STRIPS, len(stems)))}
        return cls(folder, file_names([loaded.photo for loaded in photos]), frozenset(shown))

    def hang(self, loaded: LoadedPhoto, frame: Frame, tto: int) -> None:
        """The pictures of one photo after so many steps; steps come in ascending order."""
        stem = loaded.photo.stem
        name, seen = self.names[stem], np.asarray(frame.rgb)
        pictures = {"pred": photo_pixels(seen), "error": error_pixels(seen, loaded.colours, loaded.valid)}
        if frame.depth_m is not None:
            scale = self._scales.setdefault(stem, depth_scale(frame.depth_m))
            pictures["depth"] = depth_pixels(frame.depth_m, scale)
        for kind, pixels in pictures.items():
            write_png(self.folder / kind / str(tto) / f"{name}.png", pixels)
        if (stem, "truth") not in self._small:
            write_png(self.folder / "gt" / f"{name}.png", loaded.rgb)
        if stem in self.shown:
            small = {kind: small_jpeg(pixels, WIDEST_PX) for kind, pixels in pictures.items()}
            first = {"truth": small_jpeg(loaded.rgb, WIDEST_PX), "before": small["pred"]}
            for kind, data in first.items():
                self._small.setdefault((stem, kind), data)
            self._small |= {(stem, kind): data for kind, data in small.items()}

    def strips(self) -> dict[str, Strip]:
        """By stem: the photo, the first and the last picture of it that was hung."""
        stems = {stem for stem, _ in self._small}
        return {stem: Strip(*(self._small[stem, kind] for kind in ("truth", "before", "pred", "error")),
                            self._small.get((stem, "depth"))) for stem in sorted(stems)}


def file_names(photos: Sequence[Photo]) -> dict[str, str]:
    """The photo's own name, harmless in a path; with its id where two would have the same. By stem."""
    plain = {photo.stem: re.sub(r"[^\w.-]", "_", Path(photo.name).stem).lstrip(".") for photo in photos}
    often = Counter(name.lower() for name in plain.values())
    return {stem: name if name and often[name.lower()] == 1 else f"{name}_{stem}".lstrip("_")
            for stem, name in plain.items()}
