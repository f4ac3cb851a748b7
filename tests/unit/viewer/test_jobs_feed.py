"""The jobs that the page shows, from a real HTTP server that behaves and misbehaves."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adaptive_nerf.viewer import jobs_feed
from adaptive_nerf.viewer.jobs_feed import MOST_BYTES, MOST_JOBS, NO_ADDRESS, JobsFeed, ask
from tests.support.waiting import wait_until


class Mediator(ThreadingHTTPServer):
    def __init__(self):
        self.content, self.status, self.asked, self.raw = b'{"jobs": []}', 200, [], b""
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def say(self, jobs, status=200):
        self.content, self.status = json.dumps({"jobs": jobs}).encode(), status


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.server.raw:
            self.wfile.write(self.server.raw)
            return
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def mediator():
    server = Mediator()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def feed_of(monkeypatch):
    monkeypatch.setattr(jobs_feed, "EVERY_S", 0.02)
    made = []

    def make(*address):
        made.append(JobsFeed(*address))
        return made[-1]

    yield make
    for feed in made:
        feed.close()


def test_jobs_are_told_and_stay_fresh(feed_of, mediator, monkeypatch):
    monkeypatch.setenv("ADAPTIVE_NERF_HTTP", mediator.url)
    feed = feed_of()
    mediator.say([{"job_id": "one", "state": "RUNNING"}])
    wait_until(lambda: feed.told().jobs == ({"job_id": "one", "state": "RUNNING"},), "the job")
    mediator.say([{"job_id": "one", "state": "SUCCEEDED"}])
    wait_until(lambda: feed.told().jobs[0]["state"] == "SUCCEEDED", "its end")
    assert feed.told().problem == ""
    assert mediator.asked[0] == f"/jobs?limit={MOST_JOBS}"


def test_nobody_looks_so_nobody_is_asked(feed_of, mediator, monkeypatch):
    monkeypatch.setattr(jobs_feed, "WANTED_S", -1.0)
    feed = feed_of(mediator.url)
    for _ in range(20):
        feed.told()
    assert mediator.asked == []


def test_a_mediator_that_is_away_keeps_what_was_told_and_is_found_again(feed_of, mediator):
    feed = feed_of(mediator.url)
    mediator.say([{"job_id": "one"}])
    wait_until(lambda: feed.told().jobs, "the job")
    mediator.say([], status=503)
    wait_until(lambda: feed.told().problem, "the problem")
    assert feed.told().jobs == ({"job_id": "one"},)
    mediator.say([{"job_id": "two"}])
    wait_until(lambda: feed.told() == jobs_feed.JobsTold(({"job_id": "two"},), ""), "it is back")


def test_without_a_mediator_it_says_so(feed_of, monkeypatch):
    monkeypatch.delenv("ADAPTIVE_NERF_HTTP", raising=False)
    assert feed_of().told().problem == NO_ADDRESS


@pytest.mark.parametrize("address", ["http://192.0.2.1:80", "http://example.org", "file:///etc/passwd", "http://[::1",
                                     "https://127.0.0.1:1", "http://127.0.0.1.example.org:80"])
def test_only_this_machine_is_asked(feed_of, address):
    assert "none of this machine" in feed_of(address).told().problem


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"jobs": 3}', b"[" * 100_000, b"\xff\xfe{"])
def test_an_answer_that_is_none_is_refused(mediator, content):
    mediator.content = content
    assert ask(mediator.url) == (None, "what answers there is no mediator")


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_what_speaks_no_http_is_no_mediator_and_is_asked_again(feed_of, mediator, raw):
    mediator.raw = raw
    feed = feed_of(mediator.url)
    wait_until(lambda: feed.told().problem == "what answers there is no mediator", "the problem")
    mediator.raw = b""
    mediator.say([{"job_id": "one"}])
    wait_until(lambda: feed.told().jobs, "the mediator")


def test_an_endless_answer_is_cut_off(mediator):
    mediator.content = b" " * (MOST_BYTES + 10)
    assert ask(mediator.url) == (None, "the mediator's answer is too long")


def test_it_is_led_to_no_other_place(mediator):
    mediator.say([], status=302)
    jobs, problem = ask(mediator.url)
    assert jobs is None
    assert "302" in problem
    assert len(mediator.asked) == 1


def test_entries_that_are_no_jobs_are_left_out_and_their_number_is_bounded(mediator):
    mediator.say([1, "x", *({"job_id": str(number)} for number in range(3 * MOST_JOBS))])
    jobs, _ = ask(mediator.url)
    assert len(jobs) == MOST_JOBS
    assert jobs[-1]["job_id"] == str(3 * MOST_JOBS - 1)


def test_nobody_there(mediator, monkeypatch):
    monkeypatch.setenv("http_proxy", mediator.url)
    jobs, problem = ask("http://127.0.0.1:1")
    assert jobs is None
    assert "does not answer" in problem
    assert mediator.asked == [], "a proxy is not asked either"
