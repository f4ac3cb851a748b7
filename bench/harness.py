"""What every bench shares: named figures with what was asked, the machine, one JSON object or a table for people.

A bench always exits 0 when it could measure: a missed figure is told, never hidden, and never fails a build.
"""

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from adaptive_nerf.common.command_line import parser
from adaptive_nerf.common.cores import usable_cores


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    asked: float | None = None
    better: Literal["higher", "lower"] = "higher"

    @property
    def meets(self) -> bool | None:
        """None where nothing was asked; what is no finite number meets nothing."""
        if self.asked is None:
            return None
        if not math.isfinite(self.value):
            return False
        return self.value >= self.asked if self.better == "higher" else self.value <= self.asked


def median_of(runs: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(runs))


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def machine() -> dict[str, object]:
    """What a reader needs to judge a figure."""
    cpu = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
           if line.startswith("model name")]
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {"cpu": cpu[0] if cpu else platform.machine(), "cores": usable_cores(),
            "memory_gib": round(memory_kib / 2**20, 1), "system": platform.platform(),
            "python": platform.python_version()}


def report(bench: str, figures: list[Figure], as_json: bool) -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if as_json:
        rows = [asdict(figure) | {"value": figure.value if math.isfinite(figure.value) else None,
                                  "meets": figure.meets} for figure in figures]
        print(json.dumps({"bench": bench, "at": at, "machine": machine(), "figures": rows}, allow_nan=False))
        return
    facts = machine()
    table = Table(title=f"{bench}, {at}\n{facts['cpu']}, {facts['cores']} cores", title_justify="left")
    for heading in ("figure", "value", "unit", "asked", "meets"):
        table.add_column(heading, justify="right" if heading in ("value", "asked") else "left")
    for figure in figures:
        sign = ">=" if figure.better == "higher" else "<="
        asked = "" if figure.asked is None else f"{sign} {figure.asked:g}"
        meets = {None: "", True: "yes", False: "NO"}[figure.meets]
        table.add_row(figure.name, f"{figure.value:,.4g}", figure.unit, asked, meets)
    Console().print(table)


def arguments(description: str | None) -> argparse.ArgumentParser:
    command = parser(description)
    command.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return command
