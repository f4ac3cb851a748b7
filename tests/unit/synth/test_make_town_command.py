import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, str(Path(__file__).parents[3] / "scripts" / "make_town.py")]
SMALL = ["--size", "50", "45", "--photos", "2", "--event_photos", "2", "--resolution", "48", "36", "--jobs", "1"]


def call(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


def test_the_command_reports_what_it_made(tmp_path):
    done = call("--output", str(tmp_path / "town"), *SMALL, "--event", "flood", "--json")
    assert done.returncode == 0, done.stderr
    assert [flight["photos"] for flight in json.loads(done.stdout)["flights"]] == [2, 2]


@pytest.mark.parametrize("wrong", [["--altitude", "2"], ["--jobs", "0"], ["--exposure_jitter", "-1"]])
def test_a_bad_flag_gives_one_line_and_exit_code_2(tmp_path, wrong):
    done = call("--output", str(tmp_path / "town"), *SMALL, *wrong)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert wrong[0] in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_unknown_event_names_the_known_ones(tmp_path):
    done = call("--output", str(tmp_path / "town"), "--event", "volcano")
    assert done.returncode == 2
    assert "fire_scar" in done.stderr


def test_help_shows_examples():
    done = call("--help")
    assert done.returncode == 0
    assert "./scripts/make_town.py --output" in done.stdout
