"""The way in, as a person with a browser goes it."""

import http.client
import re
from urllib.parse import urlsplit

import pytest

from adaptive_nerf.viewer.access import key_of_job
from adaptive_nerf.viewer.front_door import FrontDoor, Lock
from adaptive_nerf.viewer.inner_server import InnerServer
from adaptive_nerf.viewer.listening import listen
from adaptive_nerf.viewer.relay import Relay
from tests.support.browser import CANVAS, HAS_WEBGL2
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
WORD = "This is the page"


@pytest.fixture
def serve(tmp_path):
    """Starts the page of one job, again and again at the same port; each start ends the one before."""
    running, ports = [], []

    def end():
        while running:
            running.pop().close()

    def start():
        end()
        listening, inner = listen("127.0.0.1", ports[0] if ports else 0), InnerServer()
        ports[:] = [listening.getsockname()[1]]
        inner.gui.add_markdown(f"{WORD}, opened {len(ports)}")
        door = FrontDoor(listening, Lock.of(key_of_job(tmp_path), "127.0.0.1", ports[0]),
                         Relay(inner.get_port(), inner.door_headers, lambda: None))
        running.append(Running(door, inner))
        return f"http://127.0.0.1:{ports[0]}/", key_of_job(tmp_path), inner

    yield start
    end()


class Running:
    def __init__(self, door, inner):
        self.door, self.inner = door, inner

    def close(self):
        self.door.close()
        self.inner.stop()


def test_the_printed_address_opens_the_page_and_the_key_leaves_the_address(serve, open_tab):
    url, key, _ = serve()
    tab = open_tab(f"{url}?token={key}")
    tab.page.get_by_text(WORD).wait_for()
    tab.page.locator(CANVAS).wait_for()
    assert tab.page.evaluate(HAS_WEBGL2)
    assert key not in tab.page.url
    assert tab.page.title() == "Adaptive NeRF"
    tab.page.reload()
    tab.page.get_by_text(WORD).wait_for()
    assert tab.page.evaluate("document.cookie") == "", "no script can read the key"


def test_without_the_key_there_is_a_form_that_takes_it(serve, open_tab):
    url, key, inner = serve()
    tab = open_tab(f"{url}?initialCameraPosition=1,2,3")
    field = tab.page.get_by_label(re.compile("Paste the key"))
    field.fill("not the key")
    tab.page.get_by_role("button", name="Open the page").click()
    tab.page.get_by_text("That is not the key of this page").wait_for()
    assert not inner.get_clients()
    field.fill(f"{url}?token={key}")
    tab.page.get_by_role("button", name="Open the page").click()
    tab.page.get_by_text(WORD).wait_for()
    assert "initialCameraPosition=1,2,3" in tab.page.url


def test_a_link_of_another_page_leads_in(serve, open_tab, tmp_path):
    """Browsers bring a strict cookie only where our own page sends them on."""
    url, key, _ = serve()
    mail = tmp_path / "mail.html"
    mail.write_text(f'<a href="{url}?token={key}">look at this</a>')
    tab = open_tab(mail.as_uri())
    tab.page.get_by_text("look at this").click()
    tab.page.get_by_text(WORD).wait_for()


def test_a_page_finds_its_server_again_after_a_restart(serve, open_tab):
    url, key, inner = serve()
    tab = open_tab(f"{url}?token={key}")
    tab.page.get_by_text(WORD).wait_for()
    wait_until(inner.get_clients, "the browser")
    _, same_key, inner = serve()
    assert same_key == key
    wait_until(inner.get_clients, "the browser is back by itself")
    tab.page.get_by_text(WORD).wait_for()


def test_an_address_that_names_another_server_does_not_lead_there(serve, open_tab):
    url, key, _ = serve()
    tab = open_tab(f"{url}?token={key}&websocket=ws://192.0.2.9:1")
    tab.page.get_by_text(WORD).wait_for()
    tab.page.goto(f"{url}?websocket=ws://192.0.2.9:1")
    tab.page.get_by_text(WORD).wait_for()
    assert "192.0.2.9" not in tab.page.url


def test_it_cannot_be_framed(serve, open_tab, tmp_path):
    url, key, inner = serve()
    frame = tmp_path / "frame.html"
    frame.write_text(f'<iframe src="{url}?token={key}"></iframe>')
    tab = open_tab(frame.as_uri())
    wait_until(lambda: [one.url for one in tab.page.frames[1:] if one.url.startswith("chrome-error://")],
               "the browser refuses the frame")
    assert not inner.get_clients()


@pytest.mark.parametrize(("path", "asked", "status"), [
    ("", {}, 401), ("?token=not-the-key", {}, 401), ("?token={key}", {}, 200),
    ("", {"Host": "evil.example"}, 421), ("", {"Origin": "http://evil.example"}, 403)])
def test_no_page_of_the_door_may_be_framed(serve, path, asked, status):
    url, key, _ = serve()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("GET", f"/{path.format(key=key)}", headers=asked)
    answer = connection.getresponse()
    connection.close()
    assert (answer.status, answer.headers["X-Frame-Options"]) == (status, "DENY")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
