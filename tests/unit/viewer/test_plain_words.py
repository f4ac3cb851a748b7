import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from viser._gui_handles import _parse_markdown

from adaptive_nerf.viewer.plain_words import escaped, heading_name, length, one_line

NASTY = ("<img src=x onerror=alert(1)>", "![x](/etc/passwd)", "[a](javascript:alert(1))", "www.example.com",
         "# big\n\n- list", "`code` **bold** _x_", "https://example.com", "&lt;b&gt;", "| a | b |")


@pytest.mark.parametrize("text", NASTY)
def test_every_mark_of_a_foreign_text_gets_its_backslash(text):
    shown = escaped(text)
    bare = [sign for before, sign in zip(" " + shown, shown, strict=False)
            if sign in string.punctuation and sign != "\\" and before != "\\"]
    assert not bare


@given(st.text(max_size=60))
def test_no_foreign_text_makes_the_page_read_a_file(text):
    assert _parse_markdown(escaped(f"![a]({text})"), None) == escaped(f"![a]({text})")


@given(st.text())
def test_one_line_is_one_printable_line(text):
    line = one_line(text, 40)
    assert len(line) <= 40
    assert line.isprintable()


@pytest.mark.parametrize(("metres", "told"), [(0.042, "4 cm"), (0.996, "1.00 m"), (3.417, "3.42 m"), (128.4, "128 m"),
                                              (99.96, "100 m"), (23100, "23.10 km"), (-2.5, "-2.50 m")])
def test_lengths_have_their_unit(metres, told):
    assert length(metres) == told


def test_headings_have_names():
    assert [heading_name(degrees) for degrees in (0, 44, 90, 181, 359)] == \
        ["north", "north-east", "east", "south", "north"]
