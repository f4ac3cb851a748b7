"""A process is known by its number, its start and the boot; only exactly that one is ended."""

import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from kafka_utils.processes import end, identify, identity_in


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_a_living_process_is_found_again(sleeper):
    identity = identify(sleeper.pid)
    assert identity_in(asdict(identity)) == identity


def test_another_process_with_the_same_number_is_not_taken_for_it(sleeper):
    identity = identify(sleeper.pid)
    assert identity_in(asdict(replace(identity, start_ticks=1))) is None
    assert identity_in(asdict(replace(identity, boot_id="another"))) is None


def test_only_the_very_process_is_ended(sleeper):
    stranger = replace(identify(sleeper.pid), start_ticks=1)
    assert end(stranger, signal.SIGKILL, 5)
    assert identify(sleeper.pid) is not None
    assert end(identify(sleeper.pid), signal.SIGKILL, 5)
    assert identify(sleeper.pid) is None


def test_one_that_does_not_obey_is_told():
    ready, writing = os.pipe()
    deaf = f"import os, signal, time; signal.signal(15, signal.SIG_IGN); os.write({writing}, b'x'); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", deaf], pass_fds=[writing]) as process:
        os.read(ready, 1)
        assert not end(identify(process.pid), signal.SIGTERM, 0.1)
        process.kill()
    os.close(ready)
    os.close(writing)


@pytest.mark.parametrize("record", [{}, {"pid": 1}, {"pid": "x", "start_ticks": 1, "boot_id": "x"}])
def test_a_record_without_an_identity_is_nobody(record):
    assert identity_in(record) is None


def test_nobody_lives_under_a_number_that_is_too_large():
    assert identify(2**22 + 1) is None
