"""The slots of this host: one for each GPU, found by NVML and named by its UUID, and some for the CPU.

NVML speaks to the driver without making a CUDA context, so looking takes no memory from a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import pynvml  # type: ignore[import-untyped]

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.jobs.scheduling import Slot

MIB = 2**20
NO_DRIVER = {pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_NO_PERMISSION,
             pynvml.NVML_ERROR_UNINITIALIZED}
VISIBLE = "CUDA_VISIBLE_DEVICES"


class Devices:
    """What jobs may use: fixed when the service starts. The free memory of GPUs is looked at again."""

    def __init__(self, devices: str | None, cpu_slots: int | None):
        self.slots = find_slots(devices, cpu_slots)

    def look(self) -> list[Slot]:
        if any(slot.kind == "gpu" for slot in self.slots):
            self.slots = [_looked_at(slot) if slot.kind == "gpu" else slot for slot in self.slots]
        return self.slots


def find_slots(devices: str | None, cpu_slots: int | None, environment: Mapping[str, str] = os.environ) -> list[Slot]:
    """`devices`: numbers or UUIDs, "0,1"; without it those that CUDA_VISIBLE_DEVICES allows, else all."""
    if cpu_slots is not None and cpu_slots < 0:
        raise BadUsage(f"--slots {cpu_slots}: give 0 or more")
    where, wanted = ("--devices", devices) if devices is not None else (VISIBLE, environment.get(VISIBLE))
    if wanted is not None and _wants_none(wanted):  # then the driver is not asked: it may be broken
        uuids = []
    else:
        uuids = gpu_uuids()
        if wanted is not None and (uuids or devices is not None):
            uuids = _picked(wanted, uuids, where)
    gpus = [_looked_at(Slot(uuid, "gpu", uuid)) for uuid in uuids]
    return gpus + [Slot(f"cpu-{number}", "cpu", "") for number in range(1 if cpu_slots is None else cpu_slots)]


def gpu_uuids() -> list[str]:
    """Of all GPUs of the host, in the order of nvidia-smi. None without a driver."""
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
    except pynvml.NVMLError as error:
        if error.value in NO_DRIVER:
            return []
        raise BadUsage(f"the NVIDIA driver answers: {error}; mend it, or run on the CPU with --devices none") from error


def free_mib(uuid: str) -> int:
    """As the device says; none where it does not answer any more, as one that fell off the bus."""
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByUUID(uuid)).free) // MIB
    except pynvml.NVMLError:
        return 0


def _looked_at(gpu: Slot) -> Slot:
    return replace(gpu, free_mib=free_mib(gpu.name))


def _picked(wanted: str, uuids: list[str], where: str) -> list[str]:
    found = []
    for name in _names(wanted):
        match = _matching(name, uuids)
        if len(match) != 1 or match[0] in found:
            problem = "is named twice" if match and match[0] in found else "is no GPU of this host"
            raise BadUsage(f"{where}: {name} {problem}; there are {_shown(uuids)}")
        found += match
    return found


def _wants_none(wanted: str) -> bool:
    return _names(wanted) in ([], ["none"], ["-1"], ["NoDevFiles"])


def _names(wanted: str) -> list[str]:
    return [name.strip() for name in wanted.split(",") if name.strip()]


def _matching(name: str, uuids: list[str]) -> list[str]:
    """By number, by the beginning of a UUID as CUDA takes it, or a part of a GPU that the host's owner has cut off."""
    if name.isdecimal():
        return uuids[int(name):][:1]
    if name.startswith("MIG-"):
        return [name] if free_mib(name) else []
    return [uuid for uuid in uuids if uuid.startswith(name)]


def _shown(uuids: list[str]) -> str:
    return ", ".join(f"{number} ({uuid})" for number, uuid in enumerate(uuids)) or "none"
