"""Whatever a sender writes is a job, or refused with a code and a few printable lines; nothing else ever happens."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptive_nerf.jobs.judgement import judge
from adaptive_nerf.jobs.message import KNOWN_FIELDS, MOST_ERRORS, BadMessage, read_job
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.records import NewJob, Rejected
from tests.support.malformed import GOOD, corpus, good, odd_jobs, prepare_folder

MALFORMED = corpus()
LONGEST_ANSWER = 16 * 1024  # far below what a broker takes in one message


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    prepare_folder(folder)
    (folder / "logs").mkdir()
    return Roots.of(folder / "logs", [folder / "data"], folder)


def test_the_corpus_is_large_and_without_repeats():
    assert len({(item.value, tuple(item.headers)) for item in MALFORMED}) == len(MALFORMED) >= 150


@pytest.mark.parametrize("item", MALFORMED, ids=lambda item: item.name)
def test_a_malformed_message_is_refused_with_its_code(item, roots):
    answer = judge(item.value, "derived", roots)
    assert isinstance(answer, Rejected), item.value[:200]
    assert answer.code in item.codes, answer
    told = json.dumps(answer.errors)
    assert len(told) <= LONGEST_ANSWER
    assert all(text.isascii() and text.isprintable() for error in answer.errors for text in error.values())


@pytest.mark.parametrize(("name", "value"), odd_jobs(), ids=lambda value: value if isinstance(value, str) else "")
def test_an_odd_job_is_still_a_job(name, value, roots):
    answer = judge(value, "derived", roots)
    assert isinstance(answer, NewJob), answer
    assert answer.canonical.isascii()


def test_an_answer_lists_the_first_errors_and_counts_the_rest():
    with pytest.raises(BadMessage) as caught:
        read_job(good(**{f"x{number}": 0 for number in range(MOST_ERRORS + 5)}))
    assert len(caught.value.errors) == MOST_ERRORS + 1
    assert str(caught.value.errors[-1]) == "message: has 5 more errors"


def answered(content: bytes) -> str:
    try:
        read = read_job(content)
    except BadMessage as error:
        return f"{error.code}: {error}"
    assert read_job(read.canonical.encode()).canonical == read.canonical
    return read.canonical


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(st.characters(categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=8)
fields = st.dictionaries(st.sampled_from(sorted(KNOWN_FIELDS)) | st.text(), values, max_size=4)


@given(st.binary(max_size=300))
@example(b"\xed\xa0\x80")
def test_random_bytes_are_answered(content):
    assert answered(content).isascii()


@given(fields, st.data())
def test_a_good_message_with_bytes_changed_is_answered(changes, data):
    content = bytearray(json.dumps({**GOOD, **changes}).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place:place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"\\", b"{", b"]", b"\\ud800", b"1e999", b"NaN", b"\0"]))
        content = content or bytearray(b" ")
    assert answered(bytes(content)).isascii()


@given(fields)
def test_any_fields_are_answered_in_printable_lines(changes):
    assert answered(json.dumps({**GOOD, **changes}).encode()).isprintable()
