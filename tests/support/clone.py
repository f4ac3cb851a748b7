"""A folder in which the commands of the README run as in a clone, with data of its own."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Clone:
    """`shared`: what of the clone is there, besides the scripts."""

    def __init__(self, folder: Path, *shared: str):
        self.folder = folder
        for name in ("scripts", *shared):
            (folder / name).symlink_to(ROOT / name)

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(line.split(), cwd=self.folder, capture_output=True, text=True, check=False,
                              env={**os.environ, "COLUMNS": "100"})

    def must(self, line: str) -> str:
        done = self.run(line)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return done.stdout
