from adaptive_nerf.viewer.adapt_words import adaptation_html, curve_data
from adaptive_nerf.viewer.backend import AdaptationStatus


def test_it_is_said_who_started_it_and_how_far_it_is():
    now = AdaptationStatus(flight="event", started_by="Ada", running=True, steps=3, of=128)
    assert "Learning from event</b>: step 3 of 128" in adaptation_html(now, "Ada")
    assert "You started it" in adaptation_html(now, "Ada")
    assert "<b>Ada</b> started it" in adaptation_html(now, "Ben")


def test_what_is_not_kept_yet_is_said():
    now = AdaptationStatus(flight="event", steps=9, of=9, changed=True)
    assert "not kept yet" in adaptation_html(now, "Ada")
    assert "Nothing is being learned" in adaptation_html(AdaptationStatus(), "Ada")
    assert "Busy:</b> reading" in adaptation_html(AdaptationStatus(busy="reading the photos"), "Ada")


def test_names_flights_and_errors_are_harmless():
    nasty = "<img src=x onerror=alert(1)>"
    now = AdaptationStatus(flight=nasty, started_by=nasty, busy=nasty, error=nasty, saved=nasty)
    assert "<img" not in adaptation_html(now, "Ada")


def test_a_curve_is_never_empty():
    assert [len(values) for values in curve_data(AdaptationStatus())] == [1, 1, 1]
    steps, loss, psnr_db = curve_data(AdaptationStatus(curve=((1, 0.5, 20.0), (2, 0.4, 21.0))))
    assert (steps.tolist(), loss.tolist(), psnr_db.tolist()) == ([1, 2], [500, 400], [20, 21])
