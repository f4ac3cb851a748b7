"""The slots of a host, with NVML's answers made up; what a real driver says is for a machine that has one."""

from types import SimpleNamespace

import pynvml
import pytest

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.jobs.devices import Devices, find_slots

GIB = 2**30


@pytest.fixture
def host(monkeypatch):
    """A host with a driver and the GPUs in `free`: UUID -> free bytes, None for one that does not answer."""
    free = {"GPU-aaa": 40 * GIB, "GPU-abb": 8 * GIB, "GPU-ccc": 24 * GIB}

    def memory(uuid):
        if free.get(uuid) is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return SimpleNamespace(free=free[uuid])

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 3)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: [*free][index])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda handle: handle)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: uuid)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", memory)
    return free


def no_nvml(monkeypatch, error):
    def refuse():
        raise pynvml.NVMLError(error)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)


def names(slots):
    return [slot.name for slot in slots]


def test_every_gpu_is_a_slot_by_its_uuid_and_there_is_one_for_the_cpu_besides(host):
    slots = find_slots(None, None, {})
    assert names(slots) == ["GPU-aaa", "GPU-abb", "GPU-ccc", "cpu-0"]
    assert [(slot.kind, slot.visible, slot.free_mib) for slot in slots[1:]] == [
        ("gpu", "GPU-abb", 8192), ("gpu", "GPU-ccc", 24576), ("cpu", "", None)]


@pytest.mark.parametrize("error", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
@pytest.mark.parametrize("environment", [{}, {"CUDA_VISIBLE_DEVICES": "0,1"}])
def test_a_host_without_a_driver_has_one_cpu_slot(monkeypatch, error, environment):
    no_nvml(monkeypatch, error)
    assert names(find_slots(None, None, environment)) == ["cpu-0"]


@pytest.mark.parametrize(("devices", "environment"), [("none", {}), (None, {"CUDA_VISIBLE_DEVICES": ""})])
def test_a_driver_in_trouble_is_not_asked_where_no_gpu_is_wanted(monkeypatch, devices, environment):
    no_nvml(monkeypatch, pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    assert names(find_slots(devices, None, environment)) == ["cpu-0"]


def test_a_driver_in_trouble_is_no_host_without_gpus(monkeypatch):
    no_nvml(monkeypatch, pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    with pytest.raises(BadUsage, match=r"the NVIDIA driver answers: .*mismatch.*--devices none"):
        find_slots(None, None, {})


def test_a_host_without_gpus_refuses_to_use_one(monkeypatch):
    no_nvml(monkeypatch, pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    with pytest.raises(BadUsage, match="--devices: 0 is no GPU of this host; there are none"):
        find_slots("0", None, {})


@pytest.mark.parametrize(("count", "expected"), [(0, []), (3, ["cpu-0", "cpu-1", "cpu-2"])])
def test_there_are_as_many_cpu_slots_as_asked_for(monkeypatch, count, expected):
    no_nvml(monkeypatch, pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert names(find_slots(None, count, {})) == expected


def test_fewer_than_none_are_refused():
    with pytest.raises(BadUsage, match="--slots -1: give 0 or more"):
        find_slots(None, -1, {})


@pytest.mark.parametrize(("wanted", "expected"), [
    ("0", ["GPU-aaa"]), ("2, 0", ["GPU-ccc", "GPU-aaa"]), ("GPU-abb", ["GPU-abb"]), ("GPU-c", ["GPU-ccc"]),
    ("none", []), ("", []), ("-1", [])])
def test_gpus_are_picked_by_number_or_uuid(host, wanted, expected):
    assert names(find_slots(wanted, 0, {"CUDA_VISIBLE_DEVICES": "1"})) == expected


@pytest.mark.parametrize(("wanted", "problem"), [
    ("3", "3 is no GPU"), ("GPU-x", "GPU-x is no GPU"), ("GPU-a", "GPU-a is no GPU"), ("0,0", "0 is named twice"),
    ("1.5", "1.5 is no GPU"), ("all", "all is no GPU"), ("MIG-x", "MIG-x is no GPU")])
def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(host, wanted, problem):
    with pytest.raises(BadUsage, match=f"--devices: {problem}.*there are 0 .GPU-aaa., 1 .GPU-abb., 2 .GPU-ccc."):
        find_slots(wanted, None, {})


@pytest.mark.parametrize(("allowed", "expected"), [
    ("1", ["GPU-abb"]), ("GPU-ccc,GPU-aaa", ["GPU-ccc", "GPU-aaa"]), ("", [])])
def test_what_the_host_allows_the_mediator_bounds_its_jobs(host, allowed, expected):
    assert names(find_slots(None, 0, {"CUDA_VISIBLE_DEVICES": allowed})) == expected


def test_a_part_of_a_gpu_is_used_as_one(host):
    host["MIG-part"] = 10 * GIB
    slot, = find_slots("MIG-part", 0, {})
    assert (slot.name, slot.kind, slot.visible, slot.free_mib) == ("MIG-part", "gpu", "MIG-part", 10240)


def test_free_memory_is_read_anew_at_each_look(host, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices = Devices("1,2", 1)
    host["GPU-abb"] = 3 * GIB
    host["GPU-ccc"] = None  # it fell off the bus
    found = devices.look()
    assert [(slot.name, slot.free_mib) for slot in found] == [("GPU-abb", 3072), ("GPU-ccc", 0), ("cpu-0", None)]
    assert devices.slots == found
