"""What the doctor says of a machine that lacks something."""

import socket

from adaptive_nerf.common.findings import Finding, port_finding
from adaptive_nerf.engine import diagnosis, engines
from adaptive_nerf.engine.cpu import build


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
    monkeypatch.setattr(diagnosis, "library", refuse)
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
