import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.pipelines.curve_svg import Line, chart, ticks
from adaptive_nerf.pipelines.eval_records import ChangeRecord
from adaptive_nerf.pipelines.html_parts import change
from adaptive_nerf.pipelines.metrics import DepthError, PictureScore
from adaptive_nerf.pipelines.pictures import png_bytes, small_jpeg
from adaptive_nerf.pipelines.report import Strip, report, write_report
from tests.unit.pipelines.eval_factory import evaluation, score

PIXELS = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
STRIP = Strip(png_bytes(PIXELS), small_jpeg(PIXELS, 8), small_jpeg(PIXELS, 8), png_bytes(PIXELS))
EVIL = '<script>alert(1)</script>"\'&.JPG'


class Page(HTMLParser):
    """The elements of a page, its texts, and whether its tags close in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def rows(self, start):
        """The texts that follow a first cell."""
        texts = [text for text in self.texts if text.strip()]
        return texts[texts.index(start):]


def made(**changes):
    evaluated = evaluation(**changes)
    return Page(report(evaluated, {record.stem: STRIP for record in evaluated.photos})), evaluated


def test_the_headline_table_shows_neutral_and_fitted_side_by_side_for_every_number_of_steps():
    page, evaluated = made()
    cells = page.rows("Seconds")
    for record in evaluated.ttos:
        mean = record.mean
        wanted = [str(record.tto), f"{record.adapt_s:.2f}", f"{mean.neutral.psnr_db:.2f}", f"{mean.fitted.psnr_db:.2f}",
                  f"{mean.neutral.psnr_linear_db:.2f}", f"{mean.fitted.psnr_linear_db:.2f}",
                  f"{mean.neutral.ssim:.3f}", f"{mean.fitted.ssim:.3f}"]
        at = cells.index(wanted[1]) - 1
        assert cells[at:at + 8] == wanted


@pytest.mark.parametrize(("protocol", "words"), [("held_out", "Held out: "), ("same_images", "Same images: ")])
def test_the_protocol_is_named_in_words(protocol, words):
    assert any(text.startswith(words) for text in made(protocol=protocol)[0].texts)


def test_photos_that_the_checkpoint_knew_are_not_called_held_out():
    page, _ = made(learned_before=("000001", "000007"))
    assert any(text.startswith("Not held out: ") and "learned 1 of these 2 before" in text for text in page.texts)
    assert not any(text.startswith("Held out: ") for text in page.texts)


def test_a_depth_that_no_photo_has_is_said_and_no_number_is_made_up():
    one = evaluation(ttos=(0,))
    mean = replace(one.first.mean, depth=DepthError(None, None, None, 1.0))
    page = Page(report(replace(one, ttos=(replace(one.first, mean=mean),)), {}))
    assert "100.0 %" in page.texts
    assert "Depth error, median" not in page.texts


def test_the_page_carries_all_it_shows_and_may_load_nothing():
    page, _ = made()
    sources = [attributes["src"] for _, attributes in page.elements if "src" in attributes]
    assert len(sources) == 8
    assert all(re.match(r"data:image/(png|jpeg);base64,", source) for source in sources)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert not any("href" in attributes for _, attributes in page.elements)
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_whatever_comes_from_outside_is_text():
    page, _ = made(names=(EVIL,), job_id=EVIL, scene=EVIL, batch=EVIL, checkpoint=EVIL, machine=EVIL, lpips=EVIL,
                   warnings=(EVIL,), settings={EVIL: EVIL}, made_at=EVIL)
    assert "script" not in {tag for tag, _ in page.elements}
    assert sum(EVIL in text for text in page.texts) >= 9
    assert any(attributes.get("alt", "").startswith(EVIL) for _, attributes in page.elements)


def test_photos_are_told_by_name_and_the_worst_comes_first():
    names = tuple(f"DJI_{number}.JPG" for number in range(6))
    page, evaluated = made(names=names)
    shown = [text for text in page.texts if text in names]
    final = {record.name: record.score.neutral.psnr_db for record in evaluated.photos if record.tto == 128}
    assert shown == sorted(names, key=final.get)


def test_a_figure_that_was_not_computed_is_said_and_has_no_column():
    page, _ = made()
    assert any("LPIPS: not computed: weights missing" in text for text in page.texts)
    assert "LPIPS" not in page.texts


def test_lpips_has_a_column_where_it_was_computed():
    one = evaluation(ttos=(0,))
    page = Page(report(replace(one, ttos=(replace(one.first, mean=score(0, lpips=0.321)),)), {}))
    assert "LPIPS" in page.texts
    assert "0.321" in page.texts


def test_losses_are_told_with_their_sign():
    page, _ = made()
    assert "−0.13" in page.texts
    assert (change(2.0, 1.0).text, change(2.0, 1.0).kind) == ("−1.00", "down")
    assert (change(1.0, 1.001).text, change(1.0, 1.001).kind) == ("+0.00", "")
    assert change(None, 1.0).text == "–"


def test_the_photos_own_look_has_a_column_and_is_explained_where_it_is_known():
    page, _ = made()
    assert "Own look" not in page.texts
    one = evaluation(ttos=(0,), protocol="same_images")
    mean = replace(one.first.mean, own=PictureScore(28.125, 28.5, 0.875, 0.9))
    page = Page(report(replace(one, ttos=(replace(one.first, mean=mean),)), {}))
    assert page.texts.count("own") == 4
    assert {"Own look", "28.12", "28.50", "0.875"} <= set(page.texts)


def test_what_the_event_changed_stands_beside_what_it_did_not():
    record = ChangeRecord(16, 3, 0.125, 14.25, 15.5, 23.75, None)
    page, _ = made(changes=(record,))
    at = page.texts.index("14.25")
    assert page.texts[at - 1:at + 4] == ["16", "14.25", "15.50", "23.75", "–"]
    assert any("12.5 %, in 3 photos" in text for text in page.texts)


@pytest.mark.parametrize(("changes", "words"), [
    ({"unchanged_pixels_only": True}, "Only pixels in which nothing changed"),
    ({"unchanged_pixels_only": False}, "Real changes on the ground count as losses"),
    ({"trained_on": True}, "photos that the model was trained on")])
def test_it_is_said_on_what_forgetting_was_measured(changes, words):
    one = evaluation()
    page, _ = made(forgetting=tuple(replace(record, **changes) for record in one.forgetting))
    assert any(words in text for text in page.texts)


def test_seconds_of_several_batches_are_told_as_a_mean():
    page, _ = made(batches=3)
    assert "128 steps on 4 photos, mean of 3 batches" in page.texts


def test_photos_that_are_not_shown_are_counted():
    one = evaluation()
    page = Page(report(one, {one.photos[0].stem: STRIP}))
    assert any("1 of 2 photos are shown here" in text for text in page.texts)


def test_what_is_not_known_has_no_section():
    page, _ = made(depth=False, experts=(), forgetting=())
    assert not {"Depth error", "Experts", "Forgetting"} & set(page.texts)
    assert "nan" not in " ".join(page.texts).lower().split()


def test_one_number_of_steps_is_a_report_too():
    page, _ = made(ttos=(0,))
    assert sum(tag == "img" for tag, _ in page.elements) == 6, "before and after are the same picture"


def test_the_report_is_one_file(tmp_path):
    write_report(tmp_path / "report.html", evaluation(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert Page((tmp_path / "report.html").read_text()).texts


@given(st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_ticks_are_round_few_and_enclose_the_values(low, span):
    told = ticks(low, low + span)
    step = told[1] - told[0]
    assert told[0] <= low + step * 1e-6
    assert told[-1] >= low + span - step * 1e-6
    assert 2 <= len(told) <= 8


def test_points_of_the_curve_stand_where_their_values_are():
    svg = chart([Line("a", "#000", [(0, 20), (2, 25), (4, 30)], ["start", "16", "<b>"])], "s", "dB")
    places = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y0 > y2
    assert "&lt;b&gt;" in svg
