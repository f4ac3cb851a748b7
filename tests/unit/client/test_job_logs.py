import json

import pytest

from adaptive_nerf.client import job_logs
from adaptive_nerf.client.job_logs import Follower, print_output
from adaptive_nerf.common.errors import BadInput


@pytest.fixture
def job(tmp_path):
    """Writes pieces of output as a shim does."""
    class Job:
        folder = tmp_path / "job"

        def say(self, attempt, name, content):
            folder = self.folder / "attempts" / str(attempt) / "output"
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("ab") as stream:
                stream.write(content)

        def drop(self, attempt, name):
            (self.folder / "attempts" / str(attempt) / "output" / name).unlink()

    return Job()


def read(follower):
    return b"".join(follower.pieces())


def test_output_is_read_once_in_the_order_in_which_it_was_printed(job):
    job.say(1, "head.txt", b"a")
    follower = Follower(job.folder)
    assert read(follower) == b"a"
    assert read(follower) == b""
    job.say(1, "head.txt", b"b")
    job.say(1, "tail.000001.txt", b"c")
    job.say(1, "tail.000002.txt", b"d")
    assert read(follower) == b"bcd"
    follower.close()


def test_the_latest_attempt_is_told_and_each_one_after_it(job, capsys):
    job.say(1, "head.txt", b"first")
    job.say(2, "head.txt", b"second")
    follower = Follower(job.folder)
    assert read(follower) == b"second"
    job.say(3, "head.txt", b"third")
    job.say(10, "head.txt", b"tenth")
    assert read(follower) == b"thirdtenth"
    assert capsys.readouterr().err.splitlines() == ["--- attempt 3", "--- attempt 10"]
    follower.close()


def test_what_comes_just_before_the_next_file_is_not_lost(job, monkeypatch):
    job.say(1, "head.txt", b"a")
    follower = Follower(job.folder)
    look = job_logs.output_files

    def written_meanwhile(folder):
        if not (folder / "output" / "tail.000001.txt").exists():
            job.say(1, "head.txt", b"b")
            job.say(1, "tail.000001.txt", b"c")
        return look(folder)

    assert next(follower.pieces()) == b"a"
    monkeypatch.setattr(job_logs, "output_files", written_meanwhile)
    assert read(follower) == b"bc"
    follower.close()


def test_a_gap_is_said(job, capsys):
    job.say(1, "head.txt", b"a")
    follower = Follower(job.folder)
    assert read(follower) == b"a"
    for number in (5, 6):
        job.say(1, f"tail.{number:06d}.txt", b"%d" % number)
    assert read(follower) == b"56"
    assert capsys.readouterr().err.splitlines() == ["--- what was printed in between was too much to be kept"]
    follower.close()


def test_a_file_that_is_dropped_while_it_is_read_is_read_to_its_end(job):
    job.say(1, "tail.000001.txt", b"a")
    follower = Follower(job.folder)
    next(follower.pieces())
    job.say(1, "tail.000001.txt", b"b")
    job.drop(1, "tail.000001.txt")
    job.say(1, "tail.000002.txt", b"c")
    assert read(follower) == b"bc"
    follower.close()


def test_a_job_that_has_not_begun_is_waited_for(job, monkeypatch, capfdbinary):
    looks = []
    monkeypatch.setattr(job_logs.time, "sleep", lambda _: job.say(1, "head.txt", b"hello"))
    print_output(job.folder, True, lambda: len(looks) > 1 or looks.append(True))
    assert capfdbinary.readouterr().out == b"hello" * 2


def test_the_last_words_before_the_end_are_read(job, capfdbinary):
    def ended():
        job.say(1, "head.txt", b"last words")  # between our look and the news of the end
        return True

    print_output(job.folder, True, ended)
    assert capfdbinary.readouterr().out == b"last words"


def test_a_job_run_by_hand_has_its_log(job, capfdbinary):
    job.folder.mkdir()
    (job.folder / "log.txt").write_bytes(b"by hand \xff\n")
    print_output(job.folder, False, lambda: True)
    assert capfdbinary.readouterr().out == b"by hand \xff\n"


def test_as_json_each_line_is_an_object_that_names_its_attempt(job, monkeypatch, capsys):
    job.say(1, "head.txt", "one\r\n\x1b[2J漢\nno end".encode())

    def ended():
        job.say(2, "head.txt", b"two\n\nlast")
        return True

    monkeypatch.setattr(job_logs, "PIECE_BYTES", 1)  # characters are cut at every border of pieces
    print_output(job.folder, True, ended, as_json=True)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["attempt"], line["line"]) for line in told] == [
        (1, "one"), (1, "\x1b[2J漢"), (1, "no end"), (2, "two"), (2, ""), (2, "last")]


def test_no_output_at_all_is_one_line(job):
    with pytest.raises(BadInput, match="holds no output yet; follow it with -f"):
        print_output(job.folder, False, lambda: True)


def test_a_terminal_is_not_steered(job, monkeypatch, capsys):
    monkeypatch.setattr(job_logs.sys.stdout, "isatty", lambda: True)
    for piece in ("50 %\r100 %\n\x1b[2J漢".encode(), ):
        job.say(1, "head.txt", piece)
    monkeypatch.setattr(job_logs, "PIECE_BYTES", 1)  # characters are cut at every border of pieces
    print_output(job.folder, False, lambda: True)
    assert capsys.readouterr().out == "50 %\r100 %\n\\x1b[2J漢"
