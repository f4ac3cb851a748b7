"""Keys, names and origins, without any socket."""

import pytest

from adaptive_nerf.viewer.access import (
    KEY,
    is_for_us,
    is_key,
    is_our_page,
    key_in,
    key_of_job,
    leads_elsewhere,
    names_of_this_machine,
    query_for_the_page,
)


def test_a_job_keeps_its_key_and_shows_it_to_its_owner_alone(tmp_path):
    key = key_of_job(tmp_path)
    assert KEY.fullmatch(key)
    assert key_of_job(tmp_path) == key
    assert (tmp_path / "viewer_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_text("short"), lambda path: path.chmod(0o644), lambda path: path.write_bytes(b"\xff" * 43),
    lambda path: (path.unlink(), path.symlink_to("/etc/hostname"))], ids=["short", "open", "bytes", "link"])
def test_a_key_that_others_could_have_made_or_seen_is_replaced(tmp_path, spoil):
    key = key_of_job(tmp_path)
    spoil(tmp_path / "viewer_key")
    newer = key_of_job(tmp_path)
    assert newer != key
    assert KEY.fullmatch(newer)
    assert not (tmp_path / "viewer_key").is_symlink()


def test_only_the_key_is_the_key():
    key = "k" * 43
    assert is_key(key, key)
    assert not any(is_key(other, key) for other in ("", "k" * 42, "k" * 44, "ä" * 43, "\udcff"))


def test_the_whole_address_may_be_pasted():
    key = "A_-9" * 10 + "abc"
    for text in (key, f"  {key}\n", f"http://192.0.2.7:7070/?token={key}", f"x?a=1&token={key}&initialCameraUp=0"):
        assert key_in(text) == key


def test_the_page_keeps_the_view_of_its_address_but_neither_key_nor_other_servers():
    query = "token=abc&initialCameraPosition=1,2.5,3&websocket=ws://evil&PlaybackPath=x&darkMode="
    assert query_for_the_page(query) == "initialCameraPosition=1,2.5,3&darkMode="
    assert query_for_the_page("&".join(["a=1"] * 60)) == "", "no page of ours has so many"
    assert leads_elsewhere(["WebSocket"])
    assert not leads_elsewhere(["token", "darkMode"])


@pytest.mark.parametrize(("host", "good"), [
    ("localhost:7070", True), ("127.0.0.1", True), ("[::1]:7070", True), ("192.168.1.20:7070", True),
    ("VIEWER.lan:80", True), ("viewer.lan.", True), ("evil.example:7070", False), ("localhost.evil.example", False),
    ("", False), ("[::1", False), ("localhost:7070; script-src *", False), ("a b", False), ("localhost@evil", False)])
def test_which_names_mean_this_machine(host, good, monkeypatch):
    monkeypatch.setenv("ADAPTIVE_NERF_VIEWER_NAMES", "viewer.lan, other.lan")
    assert is_for_us(host, names_of_this_machine("0.0.0.0")) is good


@pytest.mark.parametrize(("origin", "good"), [
    (None, True), ("http://10.0.0.1:7070", True), ("https://10.0.0.1:7070", True), ("http://10.0.0.1:7071", False),
    ("http://10.0.0.1", False), ("null", False), ("", False), ("http://evil.example", False), ("http://[", False),
    ("chrome-extension://10.0.0.1:7070", False)])
def test_only_our_own_page_may_ask(origin, good):
    assert is_our_page(origin, "10.0.0.1:7070") is good
