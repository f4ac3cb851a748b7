"""The systemd unit: its flags are flags, and systemd understands it."""

import shlex
import shutil
import subprocess
import sys

import pytest

from mediator import arguments


@pytest.fixture
def unit(clone):
    return (clone / "deploy" / "adaptive-nerf.service").read_text()


def settings(unit):
    lines = [line.partition("=") for line in unit.splitlines() if "=" in line and not line.startswith("#")]
    return {name: value for name, _, value in lines}


def test_the_mediator_takes_the_flags_of_the_unit(unit):
    _, program, *flags = shlex.split(settings(unit)["ExecStart"])
    assert program == "mediator.py"
    assert arguments().parse_args(flags).topic == "nerfConfigs"


def test_jobs_outlive_the_mediator_and_it_has_the_time_that_it_needs(unit):
    assert settings(unit)["KillMode"] == "process"
    assert float(settings(unit)["TimeoutStopSec"]) > arguments().parse_args([]).grace + 15


def test_it_is_tried_again_for_longer_than_a_group_remembers_a_killed_mediator(unit):
    told = settings(unit)
    tries_s = int(told["StartLimitBurst"]) * int(told["RestartSec"])
    assert 10 * 45 < tries_s < int(told["StartLimitIntervalSec"])


def test_systemd_understands_it(unit, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    copy = tmp_path / "adaptive-nerf.service"
    copy.write_text(unit.replace("/opt/adaptive-nerf/.venv/bin/python", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
