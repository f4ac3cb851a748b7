import errno
import json
import logging

import pytest

from adaptive_nerf.common import log_setup
from adaptive_nerf.common.log_setup import SteadyFile, set_up, without_secrets


@pytest.fixture(autouse=True)
def _as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # those of pytest would be closed
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


@pytest.fixture
def log(tmp_path):
    set_up(tmp_path)
    return logging.getLogger("test")


def test_a_line_goes_to_people_to_programs_and_to_the_terminal(tmp_path, capsys):
    set_up(tmp_path)
    logging.getLogger("test").info("job %s starts", "a", extra={"job_id": "a", "attempt": 2})
    plain = (tmp_path / "mediator.txt").read_text()
    told = json.loads((tmp_path / "mediator.jsonl").read_text())
    assert plain.endswith(" INFO job a starts\n")
    assert capsys.readouterr().err == plain
    assert (told["message"], told["job_id"], told["attempt"]) == ("job a starts", "a", 2)


def test_lines_are_appended_to_those_of_the_former_life(log, tmp_path):
    log.info("first")
    set_up(tmp_path)
    log.info("second")
    assert len((tmp_path / "mediator.txt").read_text().splitlines()) == 2


def test_what_a_sender_wrote_starts_no_line_and_colours_no_terminal(log, tmp_path):
    log.info("name %s", "x\n2026-01-01 00:00:00 INFO all is well\x1b[31m\r\x9b")
    lines = (tmp_path / "mediator.txt").read_text().splitlines()
    assert lines[1] == "    2026-01-01 00:00:00 INFO all is well\\x1b[31m\\x0d\\x9b"
    assert len((tmp_path / "mediator.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("text", [
    "sasl.password=hunter2", "ssl.key.password = hunter2", '{"sasl.password": "hunter2", "a": 1}', "token: hunter2",
    "PASSWORD='hunter2'", 'password="hun ter2 hunter2"', "http://host:7070/?token=hunter2&x=1", "api_key=hunter2",
    "Authorization: Bearer hunter2hunter2", "kafka://me:hunter2@host:9092", "{'client_secret': 'hunter2'}",
    '{\\"password\\": \\"hunter2\\"}'])
def test_what_looks_like_a_secret_is_not_told(text):
    assert "hunter2" not in without_secrets(text)
    assert "***" in without_secrets(text)


@pytest.mark.parametrize("text", ["a job", "url=http://h:7070/x", "key=a", "step 3 of 7", "tokens are drawn", "a@b:c"])
def test_other_text_is_told_as_it_is(text):
    assert without_secrets(text) == text


def test_a_traceback_hides_secrets_too(log, tmp_path):
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        log.exception("failed")
    for name in ("mediator.txt", "mediator.jsonl"):
        told = (tmp_path / name).read_text()
        assert "Traceback" in told
        assert "hunter2" not in told


def test_a_full_disk_costs_a_line_and_not_the_work(tmp_path, monkeypatch, capsys):
    set_up(tmp_path)
    files = [handler for handler in logging.getLogger().handlers if isinstance(handler, SteadyFile)]
    for handler in files:
        monkeypatch.setattr(handler, "stream", FullDisk())
    logging.getLogger("test").info("a line")
    assert len(files) == 2
    (line,) = capsys.readouterr().err.splitlines()  # and no traceback
    assert line.endswith("INFO a line")


def test_files_do_not_grow_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(log_setup, "MOST_BYTES", 1000)
    set_up(tmp_path)
    for number in range(200):
        logging.getLogger("test").info("line %d", number)
    assert len(list(tmp_path.glob("mediator.txt*"))) == log_setup.KEPT_FILES + 1


class FullDisk:
    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")

    def seek(self, *_):
        pass

    def tell(self):
        return 0

    def flush(self):
        pass

    def close(self):
        pass
