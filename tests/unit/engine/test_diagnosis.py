"""What the doctor says of a machine that lacks something."""

import runpy
import socket
import subprocess
import sys
from argparse import Namespace
from collections import namedtuple

import pytest
import torch

from adaptive_nerf.common.findings import Finding, port_finding
from adaptive_nerf.engine import diagnosis, driver, engines, serving
from adaptive_nerf.engine.cpu import build
from tests.support.gpu_kernels import kernels


def named(name):
    return next(finding for finding in diagnosis.findings() if finding.name == name)


def test_a_machine_without_a_compiler_is_told_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    found = named("C++ compiler")
    assert found.state == "missing"
    assert "apt-get install g++" in found.remedy


def test_the_engine_that_serves_and_the_reason_are_named(monkeypatch, cpu):
    monkeypatch.delenv("ADAPTIVE_NERF_ENGINE", raising=False)
    assert named("engine for cpu") == Finding("engine for cpu", "ok", "cpu, the best there is here")
    monkeypatch.setenv("ADAPTIVE_NERF_ENGINE", "torch")
    assert named("engine for cpu").fact == "torch, ADAPTIVE_NERF_ENGINE=torch says so"
    monkeypatch.setenv("ADAPTIVE_NERF_ENGINE", "tcnn")
    assert named("engine for cpu").state == "wrong"


def test_an_engine_that_cannot_be_built_is_no_disaster(monkeypatch):
    def refuse():
        raise build.Unavailable("no luck")
    monkeypatch.setattr(serving, "library", refuse)
    monkeypatch.setattr(engines, "library", refuse)
    engines._engine.cache_clear()
    assert named("cpu engine").state == "missing"
    assert named("engine for cpu").fact.startswith("torch")
    engines._engine.cache_clear()


def test_ports_are_tried():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert port_finding("x", f"127.0.0.1:{port}", "do").state == "ok"
    assert port_finding("x", f"127.0.0.1:{port}", "do") == Finding(
        "x", "missing", f"nothing answers at 127.0.0.1:{port} (Connection refused)", "do")
    assert port_finding("x", "nowhere", "do").state == "wrong"


def test_the_broker_is_the_one_that_the_mediator_has(monkeypatch, clone):
    """It may have a login that the doctor has not."""
    monkeypatch.syspath_prepend(clone / "scripts")
    look = runpy.run_path(str(clone / "scripts" / "doctor.py"))["_broker"]
    said = {"broker": "127.0.0.1:1", "line": "connected"}
    monkeypatch.setitem(look.__globals__, "ask", lambda *_: said)
    options = Namespace(state=None, broker=None)
    assert look(options) == Finding("Kafka broker", "ok", "the mediator is connected with 127.0.0.1:1")
    said["line"] = "waiting for the broker"
    assert look(options).fact.startswith("nothing answers at 127.0.0.1:1")
    said["line"], options.broker = "connected", "127.0.0.1:2"
    assert look(options).fact.startswith("nothing answers at 127.0.0.1:2")


def test_a_machine_without_torch_is_told_so_and_the_rest():
    code = """
import sys
sys.modules["torch"] = None
from adaptive_nerf.engine.diagnosis import findings
for finding in findings():
    print(finding.line())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "NO  torch: it cannot be imported" in done.stdout
    assert "-> make setup" in done.stdout
    assert "C++ compiler: " in done.stdout
    assert done.stderr == ""


def test_an_old_python_is_told_which_to_take(monkeypatch):
    assert named("Python").state == "ok"
    monkeypatch.setattr(diagnosis, "OLDEST", (99, 0))
    assert named("Python").state == "wrong"
    assert "make setup PYTHON=" in named("Python").remedy


@pytest.mark.parametrize(("listed", "state", "words"), [
    ("sse2 avx2 fma", "ok", "avx2, fma"), ("avx2 avx512f avx512_bf16", "ok", "avx512f, avx512_bf16"),
    ("avx512f avx512_bf16 amx_tile amx_bf16", "ok", "avx512f, avx512_bf16, amx_bf16"),
    ("asimd", "ok", "asimd"), ("sse2", "missing", "narrow vectors")])
def test_the_vectors_of_the_processor_are_told(monkeypatch, listed, state, words):
    monkeypatch.setattr(diagnosis.build, "cpu_facts", lambda: ("A CPU", listed))
    found = named("CPU")
    assert (found.state, found.fact.startswith("A CPU, ")) == (state, True)
    assert found.fact.endswith(words)


Gpu = namedtuple("Gpu", "cuda version seen fact remedy")


@pytest.mark.parametrize("case", [
    Gpu("12.4", "550.54.15", True, "A GPU; NVIDIA driver 550.54.15, CUDA 12.4, ", ""),
    Gpu("12.4", "450.1", False, "torch is built for CUDA 12.4, and sees no GPU; there is NVIDIA driver 450.1",
        "too old"),
    Gpu("12.4", None, False, "torch is built for CUDA 12.4, and sees no GPU; there is no NVIDIA driver",
        "its driver"),
    Gpu(None, "550.54.15", False, "this torch is a build without CUDA; there is NVIDIA driver 550.54.15",
        "a torch for")])
def test_the_gpu_and_its_driver_are_told(monkeypatch, case):
    monkeypatch.setattr(driver, "version", lambda: case.version)
    monkeypatch.setattr(torch.version, "cuda", case.cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: case.seen)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A GPU")
    monkeypatch.setattr(serving, "kernels_in_triton", lambda: (engines.TORCH, ""))
    found = serving._gpu()
    assert found.state == ("ok" if case.seen else "missing")
    assert found.fact.startswith(case.fact)
    assert case.remedy in found.remedy


def test_a_gpu_without_kernels_is_missing_something(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(serving, "kernels_in_triton", lambda: (None, "no luck"))
    found = serving._gpu()
    assert found.state == "missing"
    assert "no luck" in found.fact
    assert "apt-get install gcc python3-dev" in found.remedy


def test_kernels_that_cannot_be_compiled_for_want_of_headers_say_so(monkeypatch, tmp_path):
    trial = kernels("trial")

    def refuse(*_, **__):
        raise subprocess.CalledProcessError(1, "gcc")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", refuse)
    monkeypatch.setattr(trial.sysconfig, "get_path", lambda _: str(tmp_path))
    assert trial.why_not() == f"Triton's kernels cannot be compiled here ({tmp_path}/Python.h is missing)"
    (tmp_path / "Python.h").touch()
    assert trial.why_not().endswith("(Command 'gcc' returned non-zero exit status 1.)")


def test_the_driver_is_asked_of_the_kernel_and_else_of_its_own_command(monkeypatch, tmp_path):
    said = tmp_path / "version"
    monkeypatch.setattr(driver, "KERNEL_SAYS", said)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert driver.version() is None
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 550.54.15\necho 550.54.15\n")
    command.chmod(0o755)
    assert driver.version() == "550.54.15"
    command.write_text("#!/bin/sh\necho 'has failed because it could not communicate with the driver'\nexit 9\n")
    assert driver.version() is None
    said.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n")
    assert driver.version() == "535.104.05"
