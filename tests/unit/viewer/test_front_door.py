"""The front door before a real viser server, on real sockets; a browser is played by http.client and websockets."""

import http.client
import re
import socket
import threading
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec
import numpy as np
import pytest
import viser
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.nerf_runner import exit_code
from adaptive_nerf.viewer.front_door import FrontDoor, Lock
from adaptive_nerf.viewer.inner_server import InnerServer
from adaptive_nerf.viewer.listening import PortTaken, address_for_people, listen
from adaptive_nerf.viewer.relay import Relay
from tests.support.page_client import unpacked
from tests.support.waiting import wait_until

KEY = "K" * 43
PROTOCOL = f"viser-v{viser.__version__}"


@dataclass
class House:
    viser: InnerServer
    door: FrontDoor
    port: int
    touched: list = field(default_factory=list)

    @property
    def cookie(self):
        return f"adaptive_nerf_{self.port}={KEY}"

    def ask(self, path, method="GET", body=None, **headers):
        """Status, headers, content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content.decode("utf-8", "replace")

    def websocket(self, cookie=None, **kwargs):
        headers = {"Cookie": self.cookie if cookie is None else cookie}
        return connect(f"ws://127.0.0.1:{self.port}/", additional_headers=headers, subprotocols=[PROTOCOL],
                       max_size=None, **kwargs)


@pytest.fixture(scope="module")
def house():
    inner, listening, touched = InnerServer(), listen("127.0.0.1", 0), []
    port = listening.getsockname()[1]
    relay = Relay(inner.get_port(), inner.door_headers, lambda: touched.append(1))
    door = FrontDoor(listening, Lock.of(KEY, "127.0.0.1", port), relay)
    yield House(inner, door, port, touched)
    door.close()
    inner.stop()


def camera_message():
    """What viser's page sends first; from then on the server knows the client."""
    return msgspec.msgpack.encode({
        "type": "ViewerCameraMessage", "wxyz": [1.0, 0, 0, 0], "position": [3.0, 3.0, 3.0], "fov": 0.8,
        "near": 0.1, "far": 1000.0, "image_height": 480, "image_width": 640, "look_at": [0.0, 0, 0],
        "up_direction": [0.0, 0, 1.0]})


def end_of(browser):
    """The code and the reason with which the other side closes, after what it still sends."""
    try:
        while True:
            browser.recv(timeout=20)
    except ConnectionClosed as ending:
        return ending.rcvd


def test_health_needs_no_key(house):
    assert house.ask("/healthz")[::2] == (200, "ok\n")


@pytest.mark.parametrize("path", ["/", "/index.html", "/?initialCameraUp=0,0,1", "/nothing", "/assets/x.js"])
@pytest.mark.parametrize("cookie", ["", "adaptive_nerf_{port}=" + "X" * 43, "adaptive_nerf_1=" + KEY])
def test_without_the_key_there_is_the_form_and_nothing_else(house, path, cookie):
    status, headers, content = house.ask(path, Cookie=cookie.format(port=house.port))
    assert status == 401
    assert "This page needs its key" in content
    assert len(content) < 4000
    assert "Set-Cookie" not in headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_the_key_in_the_address_becomes_a_cookie_and_leaves_the_address(house):
    status, headers, content = house.ask(f"/?token={KEY}&initialCameraPosition=1,2,3")
    assert status == 200
    assert headers["Set-Cookie"] == f"{house.cookie}; HttpOnly; Path=/; SameSite=Strict"
    assert 'content="0;url=/?initialCameraPosition=1,2,3"' in content
    assert KEY not in content


def test_a_wrong_key_is_refused_and_not_repeated(house):
    status, headers, content = house.ask("/?token=<script>")
    assert (status, headers["Set-Cookie"]) == (401, None)
    assert "That is not the key" in content
    assert "<script>" not in content


@pytest.mark.parametrize("typed", [KEY, f" http://192.0.2.1:7070/?token={KEY} "])
def test_the_form_takes_the_key_or_the_whole_address(house, typed):
    body = urlencode({"key": typed})
    status, headers, _ = house.ask("/?darkMode=", "POST", body, Content_Type="application/x-www-form-urlencoded",
                                   Origin=f"http://127.0.0.1:{house.port}")
    assert (status, headers["Set-Cookie"].partition(";")[0]) == (200, house.cookie)


def test_the_form_refuses_other_keys_other_pages_and_floods(house):
    kind = {"Content_Type": "application/x-www-form-urlencoded"}
    assert house.ask("/", "POST", urlencode({"key": "no"}), **kind)[0] == 401
    assert house.ask("/", "POST", urlencode({"key": KEY}), Origin="http://evil.example", **kind)[0] == 403
    assert house.ask("/", "POST", "key=" + "x" * 100_000, **kind)[0] == 413


@pytest.mark.parametrize("kind", ["multipart/form-data", "application/x-www-form-urlencoded; charset=bogus"])
def test_a_form_that_nobody_understands_is_refused_without_a_word_in_the_log(house, kind, caplog):
    assert house.ask("/", "POST", "key=x", Content_Type=kind)[0] == 400
    assert caplog.text == ""


def test_an_address_with_more_than_a_page_has_gets_the_form(house, caplog):
    assert house.ask("/?" + "&".join(["a=1"] * 60))[0] == 401
    assert caplog.text == ""


def test_whoever_leads_on_can_lead_nowhere_else(house):
    _, _, content = house.ask(f"//evil.example/?token={KEY}")
    assert 'content="0;url=/"' in content


def test_with_the_cookie_the_page_is_there_and_may_load_nothing_from_elsewhere(house):
    status, headers, content = house.ask("/", Cookie=house.cookie)
    assert status == 200
    assert "<title>Adaptive NeRF</title>" in content
    assert len(content) > 500_000
    policy = headers["Content-Security-Policy"]
    assert f"connect-src 'self' ws://127.0.0.1:{house.port} wss://127.0.0.1:{house.port} data: blob:" in policy
    assert "https:" not in policy
    assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")


def test_the_page_is_sent_small_where_the_browser_can(house):
    status, headers, content = house.ask("/", Cookie=house.cookie, Accept_Encoding="gzip")
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert len(content) < 800_000


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/%00",
                                  "/a\\..\\b", "/.hidden", "//etc/passwd", "/index.html/..", "/etc/passwd"])
def test_no_path_of_the_address_opens_a_file_of_the_server(house, path):
    status, _, content = house.ask(path, Cookie=house.cookie)
    assert status == 404
    assert "root:" not in content


def test_an_address_that_leads_the_page_to_another_server_is_put_right(house):
    status, _, content = house.ask("/?websocket=ws://evil.example&darkMode=", Cookie=house.cookie)
    assert status == 200
    assert 'content="0;url=/?darkMode="' in content
    assert "evil" not in content


def test_another_name_is_refused_with_the_remedy(house):
    status, _, content = house.ask("/", Host="evil.example", Cookie=house.cookie)
    assert status == 421
    assert "ADAPTIVE_NERF_VIEWER_NAMES" in content
    assert house.ask("/", Host="192.168.7.7:7070", Cookie=house.cookie)[0] == 200


def test_other_methods_are_refused(house):
    status, headers, _ = house.ask("/", "DELETE", Cookie=house.cookie)
    assert status == 405
    assert "GET" in headers["Allow"]


@pytest.mark.parametrize(("cookie", "origin", "status"), [
    ("", None, 401), ("adaptive_nerf_1=" + KEY, None, 401), (None, "http://evil.example", 403), (None, "null", 403)])
def test_websockets_need_the_key_and_our_own_page(house, cookie, origin, status):
    with pytest.raises(InvalidStatus) as refusal:
        house.websocket(cookie, origin=origin)
    assert refusal.value.response.status_code == status


def test_it_is_known_under_which_address_a_browser_has_the_page(house):
    """A proxy with a certificate stands before it: the Host header is as it came."""
    way = socket.create_connection(("127.0.0.1", house.port))
    with connect("ws://localhost/", sock=way, additional_headers={"Cookie": house.cookie}, subprotocols=[PROTOCOL],
                 max_size=None, origin="https://localhost") as browser:
        browser.send(camera_message())
        client, = wait_until(house.viser.get_clients, "the browser")
        assert house.viser.origin_of(client) == "https://localhost"
    wait_until(lambda: not house.viser.get_clients(), "it has gone")
    assert house.viser.origin_of(client) == ""


def test_two_people_reach_viser_and_it_reaches_each_of_them(house):
    house.touched.clear()
    with house.websocket() as first, house.websocket(origin=f"http://127.0.0.1:{house.port}") as second:
        for browser in (first, second):
            browser.send(camera_message())
        clients = wait_until(lambda: len(house.viser.get_clients()) == 2 and house.viser.get_clients(), "both")
        assert len(house.touched) == 2
        assert first.subprotocol == PROTOCOL
        points = np.random.default_rng(0).random((300_000, 3), np.float32)
        clients[min(clients)].scene.add_point_cloud("/points", points, (0, 0, 0), precision="float32")
        wait_until(lambda: len(first.recv(timeout=20)) > points.nbytes, "the points of the first")
        clients[max(clients)].scene.add_label("/word", "only for the second")
        smaller = [second.recv(timeout=20)]
        wait_until(lambda: "/word" in str(unpacked(smaller[-1])) or smaller.append(second.recv(timeout=20)), "the word")
        assert max(map(len, smaller)) < 100_000
    wait_until(lambda: not house.viser.get_clients(), "both have gone")


def test_a_page_of_another_version_hears_why_it_is_sent_away(house):
    with connect(f"ws://127.0.0.1:{house.port}/", additional_headers={"Cookie": house.cookie},
                 subprotocols=["viser-v0.0.1"]) as browser:
        ending = end_of(browser)
        assert ending.code == 1002
        assert "Version mismatch" in ending.reason


def test_nobody_comes_by_the_back_door(house):
    with connect(f"ws://127.0.0.1:{house.viser.get_port()}/", subprotocols=[PROTOCOL]) as stranger:
        assert end_of(stranger).code == 1008
    assert not house.viser.get_clients()


def test_there_is_no_public_tunnel(house):
    assert house.viser.request_share_url() is None
    with house.websocket() as browser:
        browser.send(msgspec.msgpack.encode({"type": "ShareUrlRequest"}))
        browser.send(camera_message())
        wait_until(house.viser.get_clients, "it goes on")
    assert house.viser._share_tunnel is None


def test_closing_says_goodbye_and_leaves_no_thread():
    before = set(threading.enumerate())
    inner, listening = InnerServer(), listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    door = FrontDoor(listening, Lock.of(KEY, "127.0.0.1", port),
                     Relay(inner.get_port(), inner.door_headers, lambda: None))
    house = House(inner, door, port)
    with house.websocket() as browser:
        browser.send(camera_message())
        wait_until(inner.get_clients, "the client")
        door.close()
        assert end_of(browser).code == 1001
    inner.stop()
    wait_until(lambda: not [one for one in set(threading.enumerate()) - before if one.name == "front door"], "its end")
    with pytest.raises(OSError, match="refused"):
        house.ask("/healthz")
    listen("127.0.0.1", port).close()


def test_a_taken_port_is_said_in_words_and_is_a_resource():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        for host in ("127.0.0.1", "0.0.0.0"):
            with pytest.raises(PortTaken, match=rf"port {port} of {re.escape(host)} is taken.*viewer_port") as refusal:
                listen(host, port)
            assert exit_code(refusal.value) == 69


@pytest.mark.parametrize("host", ["no.such.name.invalid", "203.0.113.7", "1.2.3.4.5", "x" * 300])
def test_a_host_that_is_not_ours_is_a_wrong_setting(host):
    with pytest.raises(BadUsage, match=r"viewer_host .* is no address of this machine"):
        listen(host, 0)


def test_the_address_that_people_get():
    assert address_for_people("127.0.0.1", 7070) == "http://127.0.0.1:7070"
    assert address_for_people("::1", 7070) == "http://[::1]:7070"
    assert re.fullmatch(r"http://[\w.]+:7070", address_for_people("0.0.0.0", 7070))
    assert "0.0.0.0" not in address_for_people("0.0.0.0", 7070)
