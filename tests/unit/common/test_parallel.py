import os
import signal

import pytest

from adaptive_nerf.common.errors import BadData, DiskFull, Failure
from adaptive_nerf.common.parallel import in_processes


def square(number: int) -> int:
    return number**2


def refuse(number: int) -> int:
    if number == 2:
        raise BadData("a.pt", "is wrong")
    raise DiskFull("b.pt")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("jobs", [0, 1, 2, 8])
def test_results_come_in_the_order_of_the_items(jobs):
    assert list(in_processes(square, range(6), jobs)) == [0, 1, 4, 9, 16, 25]


def test_nothing_to_do_needs_no_worker():
    assert list(in_processes(square, [], 4)) == []


def test_work_is_done_elsewhere():
    assert os.getpid() not in set(in_processes(process_of, range(4), 2))


def process_of(_: int) -> int:
    return os.getpid()


def test_an_error_of_a_worker_arrives_as_itself():
    with pytest.raises(BadData, match=r"a\.pt: is wrong"):
        list(in_processes(refuse, [2, 3], 2))


@pytest.mark.parametrize("items", [4, 5000])  # it may die while work is still being handed out
def test_a_killed_worker_is_a_plain_failure(items):
    with pytest.raises(Failure, match="fewer --jobs"):
        list(in_processes(die, range(items), 2))


def test_workers_die_with_their_parent():
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.close(reader)
        in_processes(wait_for_ever, range(2), 2)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    os.close(writer)
    assert os.read(reader, 1) == b""  # comes only when the last holder of the other end is gone
    os.close(reader)


def wait_for_ever(_: int) -> None:
    signal.pause()
