from itertools import count

from adaptive_nerf.common.progress import track


def test_every_item_comes_through_in_order():
    assert list(track("abc", 3, "letters")) == ["a", "b", "c"]


def test_without_a_terminal_lines_tell_what_is_done_and_what_is_left(capsys):
    seconds = count(0, 3)  # every look at the clock is three seconds later
    list(track(range(4), 4, "photos", clock=lambda: next(seconds)))
    assert capsys.readouterr().err.splitlines() == ["photos: 2/4, about 6 s left", "photos: 4/4, done in 12.0 s"]
