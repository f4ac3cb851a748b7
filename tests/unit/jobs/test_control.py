import socket
import stat
import threading
from functools import partial

import pytest

from adaptive_nerf.common.errors import BadInput, Failure
from adaptive_nerf.jobs.control import SOCKET, ControlServer, NoMediator, ask, read_control
from adaptive_nerf.jobs.message import BadMessage
from adaptive_nerf.jobs.serving import MOST_CALLERS
from adaptive_nerf.jobs.states import Verb


def refuse(error, _):
    raise error


@pytest.fixture
def servers():
    started = []
    yield started
    for server in started:
        server.close()


@pytest.fixture
def serve(servers, tmp_path):
    def start(answer, state=tmp_path):
        servers.append(ControlServer(state / SOCKET, answer))
        return state

    return start


def test_a_request_is_answered(serve):
    assert ask(serve(lambda request: {"asked": request}), {"verb": "list"}) == {"asked": {"verb": "list"}}


def test_only_the_owner_can_open_the_socket(serve):
    assert stat.S_IMODE((serve(dict) / SOCKET).stat().st_mode) == 0o600


def test_a_deep_state_folder_is_no_obstacle(serve, tmp_path):
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    assert ask(serve(lambda _: {"fine": True}, deep), {}) == {"fine": True}


def test_what_a_killed_mediator_left_is_replaced(serve, tmp_path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / SOCKET))
    left.close()
    with pytest.raises(NoMediator):
        ask(tmp_path, {})
    assert ask(serve(lambda _: {"fine": True}), {}) == {"fine": True}


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_without_a_mediator_the_line_names_the_folder_and_the_remedy(tmp_path, folder):
    with pytest.raises(NoMediator, match=f"{tmp_path / folder}; start one with: python3 mediator.py --state"):
        ask(tmp_path / folder, {"verb": "list"})


@pytest.mark.parametrize("kind", [BadInput, Failure])
def test_a_refusal_is_raised_at_the_asker(serve, kind):
    with pytest.raises(kind, match="no such job"):
        ask(serve(partial(refuse, kind("no such job"))), {"verb": "show"})


def test_a_fault_of_the_mediator_is_a_line_and_the_next_request_is_answered(serve, caplog):
    faults = iter([KeyError("x")])

    def answer(_):
        error = next(faults, None)
        if error:
            raise error
        return {"fine": True}

    state = serve(answer)
    with pytest.raises(Failure, match="gave no answer"):
        ask(state, {})
    assert ask(state, {}) == {"fine": True}
    assert "could not be answered" in caplog.text


def test_bytes_that_are_no_request_are_refused_and_nobody_is_hurt(serve, tmp_path):
    serve(lambda _: {"fine": True})
    for line in (b"{\n", b"[1]\n", b"\xff\n", b"no newline"):
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(tmp_path / SOCKET))
            link.sendall(line)
            link.shutdown(socket.SHUT_WR)
            told = link.makefile().read()
        assert ("error" in told) == line.endswith(b"\n")
    assert ask(tmp_path, {}) == {"fine": True}


def test_callers_that_say_nothing_are_few_and_do_not_hold_up_the_end(serve, servers, tmp_path):
    serve(dict)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(MOST_CALLERS + 3)]
    for link in silent:
        link.settimeout(5.0)
        link.connect(str(tmp_path / SOCKET))
    assert [link.recv(1) for link in silent[MOST_CALLERS:]] == [b"", b"", b""]  # hung up on
    servers.pop().close()
    assert not (tmp_path / SOCKET).exists()
    assert "control" not in [thread.name for thread in threading.enumerate()]
    for link in silent:
        link.close()


def test_callers_that_come_one_after_the_other_are_all_answered(serve):
    state = serve(lambda request: request)
    numbers = list(range(3 * MOST_CALLERS))
    assert [ask(state, {"number": number})["number"] for number in numbers] == numbers


def test_a_control_message_is_a_verb_and_a_job():
    assert read_control(b'{"verb": "cancel", "job_id": "train-1"}') == (Verb.CANCEL, "train-1")
    assert read_control(b'{"v": 1, "verb": "retry", "job_id": "x"}') == (Verb.RETRY, "x")


@pytest.mark.parametrize(("content", "told"), [
    (b"{}", "/verb: is missing, give verb and job_id; /job_id: is missing, give verb and job_id"),
    (b'{"verb": "stop", "job_id": "x"}', "/verb: input should be 'cancel' or 'retry'"),
    (b'{"verb": "cancel", "job_id": "../x"}', "/job_id: is no name of a job, 1 to 64 letters"),
    (b'{"verb": "cancel", "job_id": "x", "\\u001b[31m": 1}', "message: holds an unknown field"),
    (b'{"verb": "cancel", "job_id": 7}', "/job_id: input should be a valid string"),
    (b'{"v": 2, "verb": "cancel", "job_id": "x"}', "/v: input should be 1"), (b"[]", "message: is not a JSON object")])
def test_another_control_message_is_refused_by_field(content, told):
    with pytest.raises(BadMessage) as caught:
        read_control(content)
    assert str(caught.value).startswith(told)
