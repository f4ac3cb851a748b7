"""The page behind the proxies that docs/operating.md tells how to set up: its examples are run as they stand there.

Skipped at home where nginx or Caddy is not installed; CI installs them, and fails without them.
"""

import shutil
import socket
import subprocess

import pytest

from adaptive_nerf.viewer.access import NAMES_VARIABLE, key_of_job
from adaptive_nerf.viewer.front_door import FrontDoor, Lock
from adaptive_nerf.viewer.inner_server import InnerServer
from adaptive_nerf.viewer.listening import listen
from adaptive_nerf.viewer.relay import Relay
from kafka_utils.node import free_port
from tests.support.browser import ARGUMENTS, chromium_path
from tests.support.missing import missing
from tests.support.pages import Page
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
NAME, WORD = "viewer.example.org", "This is the page"
NGINX = """\
daemon off; pid {place}/pid; error_log stderr;
events {{}}
http {{ access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
{example} }}
"""


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Its port and its key. What it says comes by the websocket alone."""
    monkeypatch.setenv(NAMES_VARIABLE, NAME)
    listening, inner = listen("127.0.0.1", 0), InnerServer()
    port, key = listening.getsockname()[1], key_of_job(tmp_path)
    inner.gui.add_markdown(WORD)
    relay = Relay(inner.get_port(), inner.door_headers, lambda: None)
    door = FrontDoor(listening, Lock.of(key, "127.0.0.1", port), relay)
    yield port, key
    door.close()
    inner.stop()


@pytest.fixture
def certificate(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}", "-addext",
                    f"subjectAltName=DNS:{NAME}", "-keyout", tmp_path / "viewer.key", "-out", tmp_path / "viewer.pem"],
                   check=True, capture_output=True)


def nginx_with(example, port, place):
    example = example.replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl/", f"{place}/")
    (place / "nginx.conf").write_text(NGINX.format(example=example, place=place))
    return ["nginx", "-p", place, "-e", "stderr", "-c", place / "nginx.conf"]


def caddy_with(example, port, place):
    """With the test's certificate, for no other is to be had here, and without its port of administration."""
    tls = f"{{\n    tls {place}/viewer.pem {place}/viewer.key\n"
    example = example.replace(NAME, f"{NAME}:{port}").replace("{\n", tls, 1)
    (place / "Caddyfile").write_text("{\n    admin off\n    auto_https disable_redirects\n}\n" + example)
    return ["env", f"XDG_DATA_HOME={place}", f"XDG_CONFIG_HOME={place}", "caddy", "run", "--adapter", "caddyfile",
            "--config", place / "Caddyfile"]


@pytest.fixture(params=[("nginx", nginx_with), ("caddy", caddy_with)], ids=["nginx", "caddy"])
def proxy(request, clone, page, certificate, tmp_path):
    """The example of the docs, before the page; its port."""
    program, command_with = request.param
    if shutil.which(program) is None:
        missing(f"{program} is not installed (apt-get install nginx-light caddy)")
    (example,) = Page.of(clone / "docs/operating.md").blocks(program)
    port = free_port()
    command = command_with(example.replace("127.0.0.1:7070", f"127.0.0.1:{page[0]}"), port, tmp_path)
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)

    def serves():
        assert process.poll() is None, (tmp_path / "said").read_text()
        return answers(port)

    try:
        wait_until(serves, f"{program} serves")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def answers(port):
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def tab(driver):
    """Of a browser that takes the proxy's name for this machine."""
    browser = driver.chromium.launch(executable_path=chromium_path(), args=[
        *ARGUMENTS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1"])
    found = browser.new_context(ignore_https_errors=True).new_page()
    yield found
    browser.close()


def test_the_page_and_its_websocket_come_through(proxy, page, tab):
    sockets = []
    tab.on("websocket", lambda opened: sockets.append(opened.url))
    tab.goto(f"https://{NAME}:{proxy}/?token={page[1]}")
    tab.get_by_text(WORD).wait_for()
    assert {url.rstrip("/") for url in sockets} == {f"wss://{NAME}:{proxy}"}
    assert "token" not in tab.url


def test_without_the_key_it_asks_for_it(proxy, tab):
    tab.goto(f"https://{NAME}:{proxy}/")
    tab.get_by_label("Paste the key, or the whole address that holds it:").wait_for()
