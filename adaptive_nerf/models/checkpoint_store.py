"""The checkpoints of a job: `<job>/checkpoints/step000500/`, and small files `best` and `last` that name one each."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadData, BadInput
from adaptive_nerf.models import manifest

FOLDER = "checkpoints"
NAME = re.compile(r"step(\d{1,12})")
POINTERS = ("best", "last")


@dataclass(frozen=True)
class CheckpointStore:
    folder: Path

    @classmethod
    def of_job(cls, job_folder: Path) -> CheckpointStore:
        return cls(job_folder / FOLDER)

    def place(self, step: int) -> Path:
        return self.folder / f"step{step:06d}"

    def steps(self) -> dict[int, Path]:
        """Whole checkpoints, by step. A half-written folder has no name of this kind."""
        found = {}
        for path in self.folder.glob("step*"):
            match = NAME.fullmatch(path.name)
            if match and (path / manifest.NAME).exists():
                found[int(match[1])] = path
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        return [name for name in POINTERS if (self.folder / name).is_file()] + \
            [f"step{step}" for step in self.steps()]

    def point(self, name: str, target: Path) -> None:
        atomic_files.write_text(self.folder / name, target.name + "\n")

    def pointed(self, name: str) -> Path | None:
        """What `best` or `last` names, if it is still there."""
        path = self.folder / name
        if not path.is_file():
            return None
        target = path.read_text(errors="replace").strip()
        if not NAME.fullmatch(target):
            raise BadData(path, "names no checkpoint", expected="one line, as step000500")
        return self.folder / target if (self.folder / target / manifest.NAME).exists() else None

    def newest(self) -> Path | None:
        """What `last` names; where that is gone, or was not told yet, the newest that is whole."""
        return self.pointed("last") or next(reversed(self.steps().values()), None)

    def named(self, prefix: str) -> Path | None:
        """best, last or step<N>, where it is there."""
        match = NAME.fullmatch(prefix)
        return self.steps().get(int(match[1])) if match else self.pointed(prefix) if prefix in POINTERS else None

    def find(self, prefix: str) -> Path:
        """best, last or step<N>; refused with the list of those that are there."""
        found = self.named(prefix)
        if found is None:
            there = ", ".join(self.names()) or "none at all"
            raise BadInput(f"{self.folder} has no checkpoint '{prefix}'; there are: {there}")
        return found

    def prune(self, keep: int) -> None:
        """Leave the newest, and those that are pointed at. What a killed process left half done goes too."""
        self.clear()
        steps = list(self.steps().values())
        kept = {*steps[max(0, len(steps) - keep):], *(self.pointed(name) for name in POINTERS)}
        for path in steps:
            if path not in kept:
                aside = path.with_name(f".{path.name}.gone")  # it is no checkpoint any more, even half removed
                path.rename(aside)
                shutil.rmtree(aside)

    def clear(self) -> None:
        """Of what a killed process left half done; for the one process that writes here."""
        for left in (*self.folder.glob(".step*.gone"), *self.folder.glob(".step*.partial")):
            shutil.rmtree(left)
