"""What a runner leaves in its folder is read with care: absent, damaged or of a wrong kind is simply not there."""

import json

import pytest

from adaptive_nerf.jobs.job_folder import LARGEST_BYTES, read_failure, read_progress, read_result


def test_progress_is_read_with_numbers_only(tmp_path):
    (tmp_path / "progress.json").write_text(json.dumps({
        "v": 1, "step": 3, "of": 10, "eta_s": "soon", "metrics": {"psnr": 21.5, "note": "x", "flag": True},
        "warnings": ["no AMP here"], "url": "http://host:7070/?token=secret"}))
    progress = read_progress(tmp_path)
    assert progress.shown == {"step": 3, "of": 10, "metrics": {"psnr": 21.5}}
    assert progress.warnings == ("no AMP here",)
    assert progress.url == "http://host:7070/"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"3", b"[" * 50_000, b" " * (LARGEST_BYTES + 1)])
def test_damaged_files_count_as_absent(tmp_path, content):
    for name in ("progress.json", "result.json", "failure.json"):
        (tmp_path / name).write_bytes(content)
    assert read_progress(tmp_path) is None
    assert read_result(tmp_path) is None
    assert read_failure(tmp_path) == ("", "")


def test_numbers_that_json_cannot_carry_on_are_left_out(tmp_path):
    (tmp_path / "progress.json").write_text('{"step": NaN, "of": 1e999, "metrics": {"loss": Infinity, "lr": 0.1}}')
    assert read_progress(tmp_path).shown == {"metrics": {"lr": 0.1}}


def test_a_failure_tells_cause_and_hint(tmp_path):
    (tmp_path / "failure.json").write_text('{"v": 1, "cause": "no photos", "hint": "look at data/"}')
    assert read_failure(tmp_path) == ("no photos", "look at data/")
