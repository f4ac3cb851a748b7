import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.jobs.message import KNOWN_FIELDS, BadMessage, read_job
from adaptive_nerf.jobs.spec import MODELS

EXISTING = {"op": "view", "seed": 0, "dataset": "drz", "data_path": "data/drz/", "data_dirname": "example",
            "mask_dirname": "g22_grid_bm110_ss11", "downscale": 0.25, "use_amp": True,
            "checkpoint_path": "logs/example", "prefix": "step20000", "ray_samples": 64}


def message(**changes):
    return json.dumps({"op": "train", "data_path": "data/town", **changes}).encode()


def refusal(content) -> BadMessage:
    with pytest.raises(BadMessage) as caught:
        read_job(content)
    return caught.value


def test_a_message_of_the_existing_system_is_a_job_without_a_warning():
    read = read_job(json.dumps(EXISTING).encode())
    assert read.job.op == "view"
    assert (read.job.prefix, read.job.ray_samples, read.job.viewer_port) == ("step20000", 64, 7070)
    assert read.warnings == ()


@pytest.mark.parametrize("op", MODELS)
def test_every_operation_needs_no_more_than_its_scene(op):
    assert read_job(message(op=op)).job.op == op


def test_a_known_field_without_effect_is_a_warning():
    read = read_job(message(op="view", outer_steps=5))
    assert read.warnings == ("outer_steps has no effect in view",)
    assert read.idle == {"outer_steps": 5}


def test_an_unknown_field_is_refused_with_the_nearest_name():
    (error,) = refusal(message(max_resolutoin=4096)).errors
    assert str(error) == "/max_resolutoin: unknown, did you mean max_resolution?"


@pytest.mark.parametrize(("value", "steps"), [(16, (16,)), ("0,16,64,128", (0, 16, 64, 128)), ([0, 8], (0, 8))])
def test_steps_are_a_number_a_list_or_a_text(value, steps):
    assert read_job(message(op="eval", tto=value)).job.tto == steps


@pytest.mark.parametrize("changes", [
    {"seed": "0"}, {"seed": 1.5}, {"seed": True}, {"seed": -1}, {"downscale": 0}, {"downscale": 2}, {"lr": 0},
    {"priority": 10}, {"tto": ""}, {"tto": []}, {"tto": "1,x"}, {"tto": True}, {"prefix": "step"}, {"prefix": "../x"},
    {"job_id": ""}, {"job_id": "a/b"}, {"job_id": "a..b"}, {"job_id": "a\n"}, {"job_id": "x" * 65}, {"v": 2},
    {"protocol": "best"}, {"data_path": None}, {"data_path": 3}])
def test_a_wrong_value_is_refused_at_its_field(changes):
    error = refusal(message(op="eval", **changes))
    assert error.code == "bad_spec"
    assert error.errors[0].field.startswith(f"/{next(iter(changes))}")


@pytest.mark.parametrize(("content", "code"), [
    (b"", "not_json"), (b"{", "not_json"), (b"[]", "not_an_object"), (b"null", "not_an_object"),
    (b"\xff\xfe{}", "not_utf8"), (b'{"op": "train", "op": "eval"}', "duplicate_key"),
    (b'{"lr": NaN}', "not_a_number"), (b'{"lr": -Infinity}', "not_a_number"), (b'{"lr": 1e999}', "not_a_number"),
    (b'{"seed": ' + b"9" * 4300 + b"}", "not_a_number"), (b"[" * 100_000, "too_deep"),
    (b'{"a":' * 40 + b"1" + b"}" * 40, "too_deep"), (b" " * 262_145, "too_large"),
    (b"{}", "bad_op"), (b'{"op": "destroy"}', "bad_op"), (b'{"op": ["train"]}', "bad_op"),
    (b'{"op": "train"}', "bad_spec")])
def test_what_is_no_job_is_answered_with_a_code(content, code):
    assert refusal(content).code == code


def test_a_refusal_never_quotes_a_value():
    assert "hunter2" not in str(refusal(message(seed="hunter2", lr="hunter2", op="train")))


def test_brackets_inside_a_text_are_no_nesting():
    assert read_job(message(dataset='{[\\"' * 40)).job.dataset.startswith("{[")


def test_the_identity_of_a_message_is_what_was_sent_and_not_its_order():
    first = read_job(b'{"op": "train", "data_path": "x", "seed": 0}').canonical
    assert first == read_job(b'{"seed":0,"data_path":"x","op":"train"}').canonical
    assert first != read_job(b'{"op": "train", "data_path": "x"}').canonical  # though the default is the same


def test_jobs_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        read_job(message()).job.seed = 1


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                           lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.dictionaries(st.sampled_from(sorted(KNOWN_FIELDS)) | st.text(), json_values), st.sampled_from([*MODELS, ""]))
def test_any_json_is_a_job_or_refused_by_field(fields, op):
    content = json.dumps({"data_path": "x", **fields, "op": op}).encode()
    try:
        answer = read_job(content).canonical
    except BadMessage as error:
        answer = str(error)
    assert answer
    assert answer.isascii()
    assert answer.isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(content):
    assert refusal(content).code


def test_a_name_that_is_none_is_told_in_words_and_not_as_a_pattern():
    (error,) = refusal(message(job_id="a/b")).errors
    assert str(error).startswith("/job_id: is no such name, 1 to 64 letters, digits, '.', '_' and '-', ")
    (error,) = refusal(message(op="eval", prefix="newest")).errors
    assert error.hint == "which checkpoint there: best, last, step<N>"
