import pytest

from adaptive_nerf.client.plain_text import error_lines, printable, printable_lines


@pytest.mark.parametrize(("text", "shown"), [
    ("plain", "plain"), ("ü 漢 °", "ü 漢 °"), ("\x1b[31mred", "\\x1b[31mred"), ("a\nb\r\t", "a\\nb\\r\\t"),
    ("\u202egpj", "\\u202egpj"), ("\x9b2J", "\\x9b2J"), ("\ud800", "\\ud800"), ("", "")])
def test_what_a_stranger_wrote_cannot_steer_a_terminal(text, shown):
    assert printable(text) == shown


def test_long_text_is_shortened():
    assert printable("x" * 100, 10) == "x" * 9 + "…"
    assert printable("x" * 10, 10) == "x" * 10


def test_lines_stay_lines():
    assert printable_lines("a\n\x1b[2J\n\tb") == "a\n\\x1b[2J\n        b"


def test_one_fault_is_one_line_and_many_have_a_line_each():
    lr = {"field": "/lr", "message": "is no number", "hint": ""}
    assert error_lines("x.json is no job", [lr]) == "x.json is no job: lr: is no number"
    sead = {"field": "/sead", "message": "unknown", "hint": "did you mean seed?"}
    assert error_lines("x.json is no job", [lr, sead]) == (
        "x.json is no job, for 2 reasons:\n  lr: is no number\n  sead: unknown; did you mean seed?")
    assert error_lines("x is no job", [{"field": "", "message": "is not JSON"}]) == "x is no job: it is not JSON"
