import pytest

from adaptive_nerf.client import dead_letters
from adaptive_nerf.client.dead_letters import corrected, job_id_of
from adaptive_nerf.client.sending import NotAJob
from adaptive_nerf.common.errors import BadUsage
from kafka_utils.reader import Record

HEADERS = {"error_code": b"bad_spec", "json_pointer": b"/lr", "message": b"is \x1b[31mno number", "hint": b"",
           "source_topic": b"nerfConfigs", "source_partition": b"0", "source_offset": b"7"}


@pytest.mark.parametrize("value", [
    b"", b"\xff\xfe", b"[" * 100_000, b"x" * 300_000, b'{"a": "\x1b[2J"}', b'{"a": "\\u001b[2J\\u202e"}', b"9" * 5000,
    '{"a": "\ud83d"}'.encode(errors="surrogatepass")])
def test_any_bytes_are_shown_short_and_safe(value):
    told = dead_letters._told(Record(0, 3, None, value, HEADERS, 1.8e9), False)
    assert told["text"].isprintable()
    assert len(told["text"]) <= dead_letters.SHOWN
    assert told["message"] == "is \\x1b[31mno number"
    assert (told["place"], told["source"], told["bytes"]) == ("3", "nerfConfigs/0/7", len(value))


def test_headers_may_be_missing_or_of_a_stranger():
    told = dead_letters._told(Record(2, 3, None, b"{}", {"message": b"\xff" * 1000}, 0.0), True)
    assert (told["place"], told["code"], len(told["message"])) == ("2:3", "", dead_letters.SHOWN)


@pytest.mark.parametrize(("text", "with_partition", "place"), [
    ("17", False, (0, 17)), ("0:17", False, (0, 17)), ("3:17", True, (3, 17))])
def test_a_place_is_an_offset_or_a_partition_and_an_offset(text, with_partition, place):
    assert dead_letters._place(text, with_partition) == place


@pytest.mark.parametrize(("text", "with_partition"), [
    ("17", True), ("", False), (":17", False), ("x", False), ("-1", False), ("1:", True), ("a:1", True),
    ("1:2:3", True)])
def test_what_is_no_place_is_one_line(text, with_partition):
    with pytest.raises(BadUsage, match="is no place in the dead letters"):
        dead_letters._place(text, with_partition)


def test_without_a_correction_it_is_sent_byte_for_byte():
    assert corrected(b'{"op":  "train", \xff', []) == b'{"op":  "train", \xff'


def test_a_correction_is_checked_before_it_is_sent():
    value = b'{"op": "train", "data_path": "x", "sead": 3}'
    with pytest.raises(NotAJob, match="the corrected message is no job: sead: unknown; did you mean seed"):
        corrected(value, ["lr=0.1"])
    assert corrected(b'{"op": "train"}', ["data_path=x"]) == b'{"op": "train", "data_path": "x"}'
    with pytest.raises(NotAJob, match="it is not JSON"):
        corrected(b"{", ["seed=1"])


def test_a_name_is_found_where_there_is_one():
    assert job_id_of(b'{"job_id": "a"}') == "a"
    assert job_id_of(b'{"job_id": 7}') is job_id_of(b"{}") is job_id_of(b"\xff") is None
