import errno
import subprocess
import sys

import pytest

from adaptive_nerf.common import command_line
from adaptive_nerf.common.errors import BadData, Failure


def failing(error):
    def main():
        raise error
    return main


@pytest.mark.parametrize(("error", "code"), [
    (BadData("scene.pt", "is missing"), 2), (Failure("diverged"), 1), (KeyboardInterrupt(), 130),
    (OSError(errno.ENOSPC, "No space left on device", "photo.jpg"), 2),
    (OSError(errno.EACCES, "Permission denied", "photo.jpg"), 2)])
def test_an_error_is_one_line_on_stderr_and_an_exit_code(error, code, capsys):
    with pytest.raises(SystemExit) as left:
        command_line.run(failing(error))
    assert left.value.code == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1


def test_a_fault_of_our_own_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        command_line.run(failing(ZeroDivisionError()))


def test_success_leaves_with_zero():
    with pytest.raises(SystemExit) as left:
        command_line.run(lambda: None)
    assert left.value.code == 0


def test_help_names_defaults_and_shows_examples():
    parser = command_line.parser("Counts photos.", "./count.py --limit 3")
    parser.add_argument("--limit", type=int, default=0, help="how many")
    parser.add_argument("--size", type=float, nargs=2, default=(4.0, 2.5), help="metres")
    parser.add_argument("--all", action="store_true", help="every one")
    assert "how many (default: 0)" in parser.format_help()
    assert "metres (default: 4 2.5)" in parser.format_help()
    assert "every one (default" not in parser.format_help()
    assert parser.format_help().rstrip().endswith("./count.py --limit 3")


def test_a_reader_that_goes_away_is_no_error():
    program = ("from adaptive_nerf.common import command_line; "
               "command_line.run(lambda: command_line.print_json(list(range(100000))))")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.read(10)
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == 0


def test_json_refuses_what_other_readers_could_not_parse():
    with pytest.raises(ValueError, match="not JSON compliant"):
        command_line.print_json(float("nan"))


@pytest.mark.parametrize(("words", "problem"), [
    (["--limt", "3"], "unrecognized arguments: --limt 3"), (["--limit", "many"], "invalid int value: 'many'")])
def test_a_wrong_command_line_is_one_line_that_names_the_flag(words, problem, capsys):
    parser = command_line.parser("Counts photos.")
    parser.add_argument("--limit", type=int)
    with pytest.raises(SystemExit) as left:
        parser.parse_args(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert left.value.code == 2
    assert line.startswith("error: ")
    assert problem in line
    assert line.endswith("--help tells all flags")
