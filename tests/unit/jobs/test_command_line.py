"""A wrong command line of the mediator is one line that names the flag, before anything is begun."""

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
