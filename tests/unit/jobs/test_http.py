import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adaptive_nerf.common.errors import BadUsage, Failure
from adaptive_nerf.jobs.http import Health, HttpServer, Pages, host_and_port, names_us
from tests.support.jobs import add, run, write_url

WELL = Health(True, True, connected=True, last_poll_age_s=0.5, disk_free_bytes=7, slots=2, slots_held=1,
              attempts_ended={"done": 3, "lost": 1}, commit="abc")


@pytest.fixture(autouse=True)
def _a_job(store):
    add(store, "a", op="view")


@pytest.fixture
def health():
    return {"now": WELL}


@pytest.fixture
def server(store, health):
    server = HttpServer("127.0.0.1:0", lambda: health["now"], store)
    yield server
    server.close()


@pytest.fixture
def ask(server):
    def ask(path, method="GET", **headers):
        link = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
        link.request(method, path, headers=headers)
        answer = link.getresponse()
        content = answer.read()
        link.close()
        return answer, content

    return ask


def figures(content):
    return {(sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(content.decode()) for sample in family.samples}


def test_metrics_tell_jobs_by_state_ends_by_reason_and_the_line(ask):
    answer, content = ask("/metrics")
    told = figures(content)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert told["adaptive_nerf_jobs", "QUEUED"] == 1
    assert told["adaptive_nerf_jobs", "RUNNING"] == 0
    assert told["adaptive_nerf_attempts_ended_total", "lost"] == 1
    assert told["adaptive_nerf_attempts_ended_total", "out_of_memory"] == 0  # else an alarm would miss the first one
    wanted = {"ready": 1, "backlog_jobs": 1, "outbox_records": 2, "consumer_connected": 1, "last_poll_age_seconds": 0.5,
              "disk_free_bytes": 7, "slots": 2, "slots_held": 1}
    assert {name: told[(f"adaptive_nerf_{name}",)] for name in wanted} == wanted
    assert any(name == "adaptive_nerf_build_info" and "abc" in labels for name, *labels in told)


def test_metrics_tell_when_no_jobs_are_taken(ask, health):
    health["now"] = Health(True, False, "no broker")
    assert figures(ask("/metrics")[1])[("adaptive_nerf_ready",)] == 0


def test_two_services_in_one_process_do_not_share_their_figures(ask, store):
    other = HttpServer("127.0.0.1:0", lambda: WELL, store)
    other.close()
    assert ask("/metrics")[0].status == 200


@pytest.mark.parametrize(("state", "live", "ready"), [
    (WELL, 200, 200), (Health(True, False, "no broker"), 200, 503), (Health(False, True, "stalled"), 503, 503)])
def test_probes_tell_whether_to_restart_and_whether_to_send(ask, health, state, live, ready):
    health["now"] = state
    assert (ask("/livez")[0].status, ask("/readyz")[0].status) == (live, ready)
    assert json.loads(ask("/readyz")[1])["why"] == state.why


def test_jobs_are_listed_and_shown(ask):
    listed = json.loads(ask("/jobs?state=queued&state=FAILED&limit=5")[1])
    assert [job["job_id"] for job in listed["jobs"]] == ["a"]
    assert json.loads(ask("/jobs/a")[1])["spec"]["op"] == "view"


def test_no_token_of_a_viewer_gets_out(ask, store, tmp_path):
    secret = "http://h:7070/?token=hunter2"
    run(store, "a", ("light-0",), progress={"step": 1, "url": secret}, url=secret)
    write_url(tmp_path / "logs", "a", secret)
    told = json.loads(ask("/jobs/a")[1])
    assert told["url"] == "http://h:7070/"
    assert "hunter2" not in json.dumps([told["progress"], told["url"], json.loads(ask("/jobs")[1])])
    assert "viewer_url" not in told


@pytest.mark.parametrize(("path", "status"), [
    ("/", 404), ("/jobs/", 404), ("/jobs/b", 404), ("/jobs/..%2f..%2fetc", 404), ("/jobs/%ff", 400),
    ("/jobs?state=x", 400), ("/jobs?limit=0", 400), ("/jobs?limit=x", 400), ("/jobs?limit=%D9%A1", 400),
    ("/jobs?what=1", 400), ("/jobs?" + "state=x&" * 50, 400), ("//[", 404), ("/jobs/" + "x" * 5000, 404)])
def test_another_page_is_refused_in_json(ask, path, status):
    answer, content = ask(path)
    assert answer.status == status
    assert json.loads(content)["error"]


def test_a_target_that_is_no_address_is_refused(store):
    assert Pages(lambda: WELL, store).page("http://[").status == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "NONSENSE"])
def test_nothing_can_be_changed(ask, method):
    answer, content = ask("/jobs/a", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert "only GET and HEAD" in json.loads(content)["error"]


def test_head_gives_the_length_and_no_content(server):
    with socket.create_connection(host_and_port(urlsplit(server.url).netloc), timeout=10) as link:
        link.sendall(b"HEAD /livez HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head, _, content = link.makefile("rb").read().partition(b"\r\n\r\n")
    assert b" 200 " in head
    assert b"Content-Length: 0" not in head
    assert content == b""


@pytest.mark.parametrize(("host", "ours"), [
    ("localhost", True), ("127.0.0.1:8090", True), ("[::1]:8090", True), ("10.0.0.7:8090", True),
    ("evil.example", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example:80", False), ("", False),
    ("10.0.0.8", False), ("[", False), ("evil.example@localhost@evil.example", False)])
def test_the_host_header_must_name_this_machine(host, ours):
    assert names_us(host, "10.0.0.7") is ours


def test_a_foreign_page_whose_name_was_turned_to_us_reads_nothing(ask):
    answer, content = ask("/jobs", Host="evil.example")
    assert answer.status == 403
    assert b"job_id" not in content


def test_a_server_for_all_addresses_takes_numbers_and_no_names():
    assert names_us("192.168.1.5:9108", "0.0.0.0")
    assert not names_us("evil.example:9108", "0.0.0.0")


def test_a_request_that_is_no_http_ends_in_an_answer_and_echoes_nothing(server):
    with socket.create_connection(host_and_port(urlsplit(server.url).netloc), timeout=10) as link:
        link.sendall(b"<script>alert(1)</script> nonsense\r\n\r\n")
        told = link.makefile("rb").read()
    assert b"Bad Request" in told
    assert b"script" not in told


def test_a_taken_port_is_one_line(server, store):
    address = urlsplit(server.url).netloc
    with pytest.raises(Failure, match=f"{address} is taken by another program"):
        HttpServer(address, lambda: WELL, store)


@pytest.mark.parametrize("address", ["", "8090", ":8090", "localhost", "localhost:0x1", "localhost:99999", "a b:1",
                                     "me@localhost:80", "localhost:80/x", "192.0.2.1:80"])
def test_an_address_that_cannot_be_is_one_line(address, store):
    with pytest.raises(BadUsage, match="HTTP address"):
        HttpServer(address, lambda: WELL, store)
