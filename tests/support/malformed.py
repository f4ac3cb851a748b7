"""Messages that are no jobs, each with the code (or codes) that its answer may bear; and odd ones that are jobs.

Paths are meant for a mediator whose only roots are data/ and logs/ of its folder, with a link data/way_out that leads
outside (`prepare_folder`).
"""

import codecs
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GOOD = {"v": 1, "op": "train", "data_path": "data/town"}
MOST = 256 * 1024


@dataclass(frozen=True)
class Malformed:
    name: str
    value: bytes
    codes: frozenset[str]
    headers: Mapping[str, bytes] = field(default_factory=dict)


def prepare_folder(folder: Path) -> None:
    (folder / "data" / "town").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "way_out").symlink_to("/etc")


def corpus() -> list[Malformed]:
    found = [Malformed(f"{group.__name__}-{number}", value, frozenset(codes.split()))
             for group in (no_json, no_object, no_text, numbers, sizes, twice, operations, versions, names, wrong_types,
                           wrong_values, unknown_fields, outside)
             for number, (value, codes) in enumerate(group())]
    headers = [("many", {f"h{number}": b"x" * 20 for number in range(500)}), ("long", {"h": b"\xff" * 100_000}),
               ("ours", {"error_code": b"none", "source_offset": b"-1", "source_partition": b"999"}),
               ("odd", {"\u202e\n\x1b[2J": b"\0"})]
    return found + [Malformed(f"headers-{name}", b'{"headers": "%s"}' % name.encode(), frozenset({"bad_op"}), bomb)
                    for name, bomb in headers]


def odd_jobs() -> list[tuple[str, bytes]]:
    """Strange, but jobs: a service that stumbles over them is too strict, or too careless with what it shows."""
    labels = ["", "\0", "\n\r\t", "\x1b[31mred\x1b[0m", "\u202eright to left", "\N{PILE OF POO}", "a" * 200_000,
              "'; DROP TABLE", "$(reboot)", "{[" * 50, "\\", '"', "%s%n", "<script>alert(1)</script>",
              "\ufeff", "nul\\u0000"]
    odd = [(f"odd-label-{number}", json.dumps({**GOOD, "dataset": label}).encode())
           for number, label in enumerate(labels)]
    odd += [("odd-raw", json.dumps({**GOOD, "dataset": "Übermaß \N{SNOWMAN}"}, ensure_ascii=False).encode()),
            ("odd-wide", json.dumps({**GOOD, "dataset": "\N{PILE OF POO}" * 60_000}, ensure_ascii=False).encode()),
            ("odd-spaces", b" \n\t" + json.dumps(GOOD, indent=8).encode() + b"\r\n \t"),
            ("odd-order", json.dumps(dict(reversed(GOOD.items()))).encode()),
            ("odd-escapes", json.dumps(GOOD).replace("train", "\\u0074rain").encode()),
            ("odd-full", fill(GOOD, MOST))]
    return odd


def fill(message: Mapping[str, Any], size: int) -> bytes:
    """The message, as long as asked by spaces at its end."""
    return json.dumps(message).encode().ljust(size)


def good(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def raw(member: bytes) -> bytes:
    """The good message with one more member, written by hand."""
    return json.dumps(GOOD).encode()[:-1] + b", " + member + b"}"


def no_json() -> Iterator[tuple[bytes, str]]:
    whole = good()
    for value in (b"", b" ", b"\n\n", b"\0", b"\0" * 1000, b"{", b"}", b"{]", b"nope", b"'", b"{'op': 'train'}",
                  b"{op: train}", b'{"op"}', b'{"op":}', b'{"op": "train",}', b'{"op" "train"}', b'{,}', b"<job/>",
                  b"op=train",
                  b"---\nop: train\n", b"PK\x03\x04\x14\0", whole[:-1], whole[:10],
                  whole + b"x", whole + whole, whole + b"\n" + whole, whole + b"\0", b"\0" + whole, b"// hi\n" + whole,
                  codecs.BOM_UTF8 + whole, b")]}'\n" + whole, b'{"op": "tr\nain"}', b'{"op": "\x01"}', b'{"op": "\\x"}',
                  b'{"op": "\\u12"}', b'{"op": "train', b"True", b"None", b"undefined", b"-", b"+1", b"01", b"1.",
                  b".5", b"1e", b"0x10", b'{"seed": 1_000}', b'{"seed": 0777}', b'{"lr": .5}', b'{"seed": --1}'):
        yield value, "not_json"


def no_object() -> Iterator[tuple[bytes, str]]:
    for value in (b"null", b"true", b"false", b"0", b"-1", b"1.5", b'""', b'"train"', b"[]", b"[1, 2]", b"[[[]]]",
                  b"[" + good() + b"]", json.dumps(good().decode()).encode()):
        yield value, "not_an_object"


def no_text() -> Iterator[tuple[bytes, str]]:
    for part in (b"\xff", b"\xfe", b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xed\xa0\x80",
                 b"\xed\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xc3", b"\xe2\x82",
                 b"\xf0\x9f\x92", b"\xe2(\xa1", b"\xf8\x88\x80\x80\x80", b"caf\xe9"):
        yield raw(b'"dataset": "' + part + b'"'), "not_utf8"
    yield b"\xff" + good(), "not_utf8"
    yield good() + b"\x80", "not_utf8"
    yield codecs.BOM_UTF16_LE + good().decode().encode("utf-16-le"), "not_utf8"
    yield codecs.BOM_UTF16_BE + good().decode().encode("utf-16-be"), "not_utf8"
    yield good().decode().encode("utf-16-le"), "not_json"  # a null byte after each letter is still UTF-8
    yield good().decode().encode("utf-32-be"), "not_json"
    yield bytes(range(256)), "not_utf8"
    for half in (b'"dataset": "\\ud800"', b'"data_dirname": "\\udfff"', b'"\\ud800": 1', b'"job_id": "\\uD83D"',
                 b'"tto": ["\\ude00\\ud83d"]', b'"lr": {"a": ["\\udc00"]}'):
        yield raw(half), "not_utf8"
    yield b'{"op": "\\ud800"}', "not_utf8"


def numbers() -> Iterator[tuple[bytes, str]]:
    for text in (b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1.5e400", b"9" * 4300,
                 b"-" + b"9" * 4301, b"9" * 65, b"9" * 100_000, b"1" + b"0" * 400 + b".0", b"[NaN]",
                 b'{"deep": [Infinity]}'):
        yield raw(b'"lr": ' + text), "not_json" if text == b"-NaN" else "not_a_number"


def sizes() -> Iterator[tuple[bytes, str]]:
    yield fill(GOOD, MOST + 1), "too_large"
    yield b"x" * (MOST + 1), "too_large"
    yield b"\xff" * 500_000, "too_large"
    yield good(dataset="x" * 700_000), "too_large"
    yield b"{" * 33, "too_deep"
    yield b"[" * 33 + b"]" * 33, "too_deep"
    yield b"[" * MOST, "too_deep"
    yield b'{"a":' * 52_000 + b"1", "too_deep"
    yield raw(b'"lr": ' + b"[" * 32 + b"]" * 32), "too_deep"
    yield raw(b'"lr": ' + b"[" * 31 + b"]" * 31), "bad_spec"
    yield json.dumps({**GOOD, **{f"k{number}": 0 for number in range(20_000)}}).encode(), "bad_spec"
    yield json.dumps({**GOOD, "op": "eval", "tto": [-1] * 60_000}).encode(), "bad_spec"
    yield json.dumps({**GOOD, "op": "eval", "tto": ",".join("7" * 100_000)}).encode(), "bad_spec"
    yield json.dumps({**GOOD, "op": "eval", "tto": "7" * 200_000}).encode(), "bad_spec"
    yield json.dumps({**GOOD, "x" * 200_000: 1}).encode(), "bad_spec"


def twice() -> Iterator[tuple[bytes, str]]:
    for member in (b'"op": "train"', b'"op": "view"', b'"v": 1', b'"data_path": "/"', b'"lr": 1, "lr": 1',
                   b'"": 0, "": 0', b'"\\u006fp": "eval"', b'"lr": {"a": 1, "a": 2}',
                   b'"lr": [{"\\ud800": 1, "\\ud800": 2}]'):
        yield raw(member), "duplicate_key"
    keys = b", ".join(b'"%d": 0' % min(number, 19_999) for number in range(20_001))
    yield b"{" + keys + b"}", "duplicate_key"


def operations() -> Iterator[tuple[bytes, str]]:
    for op in ("", " ", "Train", "TRAIN", "train ", "trian",
               "destroy", "cancel", "retry", "stop", "list", "status",
               "../train", "train\0", "train;reboot", "__class__", "x" * 10_000, "\N{CYRILLIC SMALL LETTER TE}rain",
               None, 0, 1, True, 1.5, [], ["train"], {}, {"train": 1}):
        yield good(op=op), "bad_op"
    yield b"{}", "bad_op"
    yield b'{"data_path": "data/town"}', "bad_op"
    yield raw(b'"op ": "train"').replace(b'"op": "train", ', b""), "bad_op"
    yield b'{"op": "cancel", "job_id": "a"}', "bad_op"


def versions() -> Iterator[tuple[bytes, str]]:
    for version in (0, 2, -1, 10**18, "1", "", 1.5, None, [1], {"v": 1}, True, 1.0):
        yield good(v=version), "bad_spec"


def names() -> Iterator[tuple[bytes, str]]:
    for job_id in ("", " ", ".", "..", "...", "a..b", "../a", "a/b", "/a", "/etc/passwd", "a\\b", "-a", "_a", ".a", "~",
                   "~root", "a b", "a\n", "\na", "a\0", "a\r\nb", "a\u202eb", "\N{LATIN SMALL LETTER E WITH ACUTE}",
                   "\u0661", "\N{FULLWIDTH LATIN SMALL LETTER A}", "a" * 65, "a" * 10_000, "a:b", "a;b", "$(a)", "`a`",
                   "a*", "%2e%2e", "a\N{FULLWIDTH FULL STOP}.", "con\x1b[2J", 0, 1.5, True, [], ["a"], {}, {"a": 1}):
        yield good(job_id=job_id), "bad_spec"


def wrong_types() -> Iterator[tuple[bytes, str]]:
    """For each field of the envelope and of some operations, what a careless sender would give."""
    wrong = {
        "priority gpus max_attempts seed outer_steps ray_samples timeout_s hang_timeout_s": ("1", True, [], {}),
        "priority gpus seed": (None, 1.0, 1.5),
        "data_path data_dirname mask_dirname dataset checkpoint_path prefix algo": (None, 1, True, [], ["a"], {}),
        "use_amp no_scheduler deferred_color": (None, 0, 1, "true", []),
        "features": (True, 4.0, "4", None, 3)}
    for fields, values in wrong.items():
        for name, value in itertools.product(fields.split(), values):
            yield good(**{name: value}), "bad_spec"
    for value in (None, True, 1.5, "", "x", "1,,2", [], [None], ["1"], [[1]], {}, "\u0661", "1;2", "-1"):
        yield good(op="eval", tto=value), "bad_spec"


def wrong_values() -> Iterator[tuple[bytes, str]]:
    for name, values in {
            "priority": (-1, 10, 2**63, -2**70), "gpus": (-1, 65, 10**60), "max_attempts": (0, -1, 2**31 + 1),
            "timeout_s": (-1, -0.001), "hang_timeout_s": (-1,), "downscale": (0, -1, 1.001), "seed": (-1, 2**63),
            "lr": (0, -1), "warmup_joint": (-0.1, 1.1), "log2_hashmap_size": (7, 29),
            "prefix": ("", "step", "best/..", "../best", "step-1", "step1\n"), "algo": ("", "maml", "__init__"),
            "boundary_margin": (0,), "cell_dim": (0,)}.items():
        for value in values:
            yield good(**{name: value}), "bad_spec"
    for changes in ({"op": "view", "viewer_port": 0}, {"op": "view", "viewer_port": 65_536},
                    {"op": "video", "width": 15}, {"op": "video", "width": 961}, {"op": "video", "fps": 0},
                    {"op": "eval", "protocol": "best"}):
        yield good(**changes), "bad_spec"
    yield b'{"op": "train"}', "bad_spec"
    yield b'{"op": "view", "v": 1}', "bad_spec"


def unknown_fields() -> Iterator[tuple[bytes, str]]:
    for name in ("max_resolutoin", "Seed", "SEED", "seed ", " seed", "job-id", "jobid", "data_paht", "learning_rate",
                 "__proto__", "constructor", "__class__", "", "\n", "\0", "..", "/", "~", "$ref", "\N{SNOWMAN}",
                 "nonce", "state", "attempt", "argv", "env", "cwd", "command", "model_config", "model_fields",
                 "\x1b]0;title\x07"):
        yield good(**{name: 1}), "bad_spec"


def outside() -> Iterator[tuple[bytes, str]]:
    for path in ("..", "../..", "/", "/etc", "/etc/passwd", "data/../..", "data/town/../../..", "data/way_out",
                 "data/way_out/ssl", "./../x", "//etc", "/proc/self/root", "~/x", "data\0", "logs/../../x", "data2",
                 "datatown/../../data", "file:///etc", "x" * 5000):
        yield good(data_path=path), "path_outside"
    for path in ("../x", "/etc", "logs/../../x", "logs/\0"):
        yield good(checkpoint_path=path), "path_outside"
    for name in ("data_dirname", "mask_dirname"):
        for path in ("../../..", "/etc", "a/../../../..", "a\0b"):
            yield good(**{name: path}), "path_outside"
    yield good(op="video", keyframes="/etc/passwd"), "path_outside"
    yield good(op="eval", lpips_weights="../../weights"), "path_outside"
    yield good(op="eval", batch="../../.."), "path_outside"
