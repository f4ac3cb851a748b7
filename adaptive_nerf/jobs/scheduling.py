"""Which waiting jobs start now, and where. Pure: jobs, slots and what is held go in, placements come out.

The order is priority, then age. Jobs queue in three classes that never take each other's slots: those for GPUs, those
for the CPU, and light ones, which live long and share a GPU with others. Within a class nobody overtakes: when the
first does not fit, what is free is kept for it. So a job for many GPUs waits, but not for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from adaptive_nerf.jobs.records import Job

Class = Literal["gpu", "cpu", "light"]
LEAST_FREE_MIB = 1024  # a GPU with less than this, whoever has the rest, gets no new job
NO_GPU = "this host has no GPU, so the job runs on the CPU"


@dataclass(frozen=True)
class Slot:
    name: str  # "GPU-<uuid>", "cpu-0", "light-0"
    kind: Literal["gpu", "cpu"]
    visible: str  # value for CUDA_VISIBLE_DEVICES
    free_mib: int | None = None  # as the device itself says; None where it has no say


@dataclass(frozen=True)
class Placement:
    job: Job
    slots: tuple[Slot, ...]
    warning: str = ""


def choose(waiting: Sequence[Job], held: Collection[str], slots: Sequence[Slot], light_slots: int) -> list[Placement]:
    """What to start now. `held`: names of the slots of all live jobs."""
    there = _there(slots, light_slots)
    free: dict[Class, list[Slot]] = {
        "gpu": roomiest_first(slot for slot in slots if slot.kind == "gpu" and _roomy(slot)),
        "cpu": [slot for slot in slots if slot.kind == "cpu"],
        "light": light_ones(slots, light_slots)}
    free = {kind: [slot for slot in found if slot.name not in held] for kind, found in free.items()}
    chosen = []
    for job in sorted(waiting, key=lambda job: (-job.priority, job.number)):
        if not any(free.values()):
            break
        kind, count = _needs(job, there)
        if count > there[kind]:
            continue  # it can never run, so nothing is kept for it
        taken, free[kind] = free[kind][:count], free[kind][count:] if count <= len(free[kind]) else []
        if len(taken) == count:
            chosen.append(_placement(job, taken, there))
    return chosen


def impossible(job: Job, slots: Sequence[Slot], light_slots: int = 1) -> tuple[str, str] | None:
    """Why this host can never run the job, and what to do about it."""
    there = _there(slots, light_slots)
    kind, count = _needs(job, there)
    if count <= there[kind]:
        return None
    if kind == "gpu":
        return f"asks for {count} GPUs, and there are {there['gpu']} here", "ask for fewer with gpus"
    option = "--light-slots" if kind == "light" else "--slots"
    return (f"needs a {kind} slot, and there are none here ({option} 0)",
            f"start the mediator with {option} 1, and send it again")


def roomiest_first(gpus: Iterable[Slot]) -> list[Slot]:
    return sorted(gpus, key=lambda slot: -(slot.free_mib or 0))


def light_ones(slots: Sequence[Slot], count: int) -> list[Slot]:
    """The slots of light jobs. They share the GPU that has the most free memory at their start."""
    gpus = roomiest_first(slot for slot in slots if slot.kind == "gpu")
    shared = gpus[0] if gpus else Slot("", "cpu", "")
    return [replace(shared, name=f"light-{number}") for number in range(count)]


def _there(slots: Sequence[Slot], light_slots: int) -> Mapping[Class, int]:
    counts = Counter(slot.kind for slot in slots)
    return {"gpu": counts["gpu"], "cpu": counts["cpu"], "light": light_slots}


def _needs(job: Job, there: Mapping[Class, int]) -> tuple[Class, int]:
    if job.light:
        return "light", 1
    return ("gpu", job.gpus) if job.gpus and there["gpu"] else ("cpu", 1)


def _roomy(gpu: Slot) -> bool:
    return gpu.free_mib is None or gpu.free_mib >= LEAST_FREE_MIB


def _placement(job: Job, slots: Sequence[Slot], there: Mapping[Class, int]) -> Placement:
    if job.light and not job.gpus:
        slots = [Slot(slot.name, "cpu", "") for slot in slots]
    return Placement(job, tuple(slots), NO_GPU if job.gpus and not there["gpu"] else "")
