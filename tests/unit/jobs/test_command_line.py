"""A wrong command line of the mediator is one line that names the flag, before anything is begun."""

import os
import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("flags", "said"), [
    (["--bork"], "unrecognized arguments: --bork; mediator.py --help tells all flags"),
    (["--root", "nowhere"], "--root nowhere is no folder"),
    (["--http", "127.0.0.1:99999"], "--http '127.0.0.1:99999' is no HTTP address; give one as 127.0.0.1:9108"),
    (["--broker", ""], "--broker is empty; give HOST:PORT"),
    (["--slots", "-1"], "--slots -1: give 0 or more"),
    (["--drain", "--stop-jobs"], "argument --stop-jobs: not allowed with argument --drain")])
def test_it_names_the_flag_and_ends_with_2(tmp_path, clone, flags, said):
    done = subprocess.run([sys.executable, clone / "mediator.py", *flags], cwd=tmp_path, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {said}")
    assert "Traceback" not in done.stderr


def test_a_clone_that_is_not_set_up_says_so(tmp_path, clone):
    (tmp_path / "scripts").mkdir()
    for name in ("mediator.py", "scripts/_launch.py"):
        shutil.copy(clone / name, tmp_path / name)
    (tmp_path / "adaptive_nerf").symlink_to(clone / "adaptive_nerf")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-S", tmp_path / "mediator.py"], cwd=tmp_path, env=env, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1, "error: the project is not set up in this Python; run `make setup` in the clone first\n")
