"""TLS and passwords: what is right goes through, what is wrong is one plain line, and no secret is ever shown."""

import json
import logging

import pytest

from adaptive_nerf.common.transport import BrokerUnreachable, LoginRefused
from kafka_utils.settings import client_settings, redacted
from kafka_utils.topic_manager import ensure_topics, reachable
from tests.support.kafka import unique
from tests.support.kafka_login import PASSWORD, GuardedNode
from tests.support.kafka_member import Member, Sender
from tests.support.waiting import wait_until
from tests.support.world import World

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with GuardedNode(tmp_path_factory.mktemp("guarded")) as node:
        yield node


@pytest.fixture(autouse=True)
def no_secret_is_shown(caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        yield
    assert PASSWORD not in caplog.text + "".join(capfd.readouterr())


@pytest.fixture
def settings(guarded, tmp_path):
    """Of a client, with what may be wrong about it."""
    def make(**wrong):
        return client_settings(guarded.guarded, guarded.login_file(tmp_path / "kafka.properties", **wrong))
    return make


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_the_right_password_goes_through(settings, mechanism):
    right, topic = settings(mechanism=mechanism), unique("jobs")
    logging.getLogger(__name__).info("settings: %s", redacted(right))
    reachable(right)
    ensure_topics(right, {topic: {}})
    sender, member = Sender("", right), Member("", [topic], unique("group"), settings=right)
    sender.deliver(topic, b"first")
    assert member.read(1) == [b"first"]
    member.commit()
    assert member.consumer.refresh() == member.given
    sender.producer.close()
    member.consumer.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_said_plainly(settings, mechanism):
    with pytest.raises(LoginRefused) as caught:
        reachable(settings(mechanism=mechanism, password="wrong"), wait_s=10)
    assert "refused the login (SASL " + mechanism in str(caught.value)
    assert "check sasl.username and sasl.password in the file of --kafka-config" in str(caught.value)


def test_a_wrong_password_is_told_to_a_reader_too(settings):
    member = Member("", [unique("jobs")], unique("group"), settings=settings(password="wrong"))
    with pytest.raises(LoginRefused, match=r"check sasl\.username and sasl\.password"):
        wait_until(member.take, "the refusal")
    assert "refused the login" in member.consumer.last_error
    member.consumer.close()


def test_a_certificate_of_an_unknown_authority_is_said_plainly(settings):
    with pytest.raises(LoginRefused, match=r"is not trusted: name its CA with ssl\.ca\.location"):
        reachable(settings(ca="stranger.crt"), wait_s=10)


def test_tls_towards_an_open_listener_is_said_plainly(guarded, settings):
    with pytest.raises(BrokerUnreachable, match=r"does not speak TLS: check .* security\.protocol"):
        reachable({**settings(), "bootstrap.servers": guarded.address}, wait_s=5)


def test_no_tls_towards_a_guarded_listener_is_said_plainly(guarded):
    with pytest.raises(BrokerUnreachable, match=r"may want TLS or a login; set security\.protocol"):
        reachable(client_settings(guarded.guarded), wait_s=5)


@pytest.fixture
def world(guarded, tmp_path):
    """Senders and witnesses take the open listener; the mediator is told of the guarded one."""
    made = World(tmp_path / "w", guarded.address, unique("guarded"))
    yield made
    made.close()


def test_a_job_passes_through_a_guarded_listener_and_no_file_holds_the_password(guarded, world, tmp_path):
    world.start("--kafka-config", guarded.login_file(tmp_path / "kafka.properties"), broker=guarded.guarded)
    world.ledger.send("a", "fake: sleep=0")
    assert world.must_be_clean().runs == 1
    left = [path for path in world.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert (world.logs / "mediator.txt") in left
    assert not [path for path in left if PASSWORD.encode() in path.read_bytes()]


def test_a_mediator_with_a_wrong_password_says_so_and_what_to_do(guarded, world, tmp_path):
    wrong = guarded.login_file(tmp_path / "kafka.properties", password="wrong")
    mediator = world.launch("--kafka-config", wrong, broker=guarded.guarded)
    wait_until(lambda: "refused the login (SASL PLAIN): check sasl.username and sasl.password" in mediator.said(),
               "it says so", 10)
    assert "refused the login" in json.loads(mediator.page("/readyz")[1])["why"]
    assert mediator.alive()
