"""The file with TLS and SASL settings: read plainly, refused clearly, never shown."""

import json
import logging

import pytest

from adaptive_nerf.common.errors import BadData, BadUsage
from kafka_utils.settings import PROMISED, REDACTED, client_settings, redacted

PASSWORD = "hunter2-Täglich=neu"


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "kafka.properties"
        path.write_text(text, encoding="utf-8")
        return path
    return write


def test_without_a_file_there_is_only_the_address():
    assert client_settings("localhost:9092") == {"bootstrap.servers": "localhost:9092"}


def test_properties_are_read(file):
    path = file(f"# a comment\n\nsecurity.protocol = SASL_SSL\nsasl.mechanism=PLAIN\n"
                f"sasl.username=me\nsasl.password={PASSWORD}\n")
    assert client_settings("b:1", path) == {
        "bootstrap.servers": "b:1", "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
        "sasl.username": "me", "sasl.password": PASSWORD}


def test_json_is_read(file):
    path = file(json.dumps({"security.protocol": "SSL", "enable.ssl.certificate.verification": True,
                            "socket.timeout.ms": 5000}))
    assert client_settings("b:1", path) == {
        "bootstrap.servers": "b:1", "security.protocol": "SSL", "enable.ssl.certificate.verification": "true",
        "socket.timeout.ms": "5000"}


@pytest.mark.parametrize("key", sorted(PROMISED))
def test_what_our_promises_rest_on_cannot_be_set(file, key):
    with pytest.raises(BadData, match=rf"key '{key}': cannot be set"):
        client_settings("b:1", file(f"{key}=1\n"))


@pytest.mark.parametrize(("text", "said"), [
    ("bootstrap.servers=x:1", "name the broker with --broker"),
    ("group.id=x", "name the group with --group_id"),
    ("sasl.jaas.config=x", "use sasl.username and sasl.password"),
    ("sasl.pasword=x", 'No such configuration property: "sasl.pasword"'),
    ("security.protocol=TLS", 'Invalid value "TLS" for configuration property "security.protocol"'),
    ("ssl.ca.location=/nowhere/ca.pem\nsecurity.protocol=ssl", "ssl.ca.location"),
    ("socket.timeout.ms=1\nsocket.timeout.ms=2", "line 2 sets it a second time"),
    (f"sasl.password {PASSWORD}", "line 1 is not key=value"),
    ("sasl.password hunter2", "line 1 is not key=value"),
    ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN", "sasl.username and sasl.password must be set"),
    ('{"sasl.password": "x", "sasl.password": "y"}', "sasl.password is set twice"),
    ('{"sasl.password": ["x"]}', "key 'sasl.password': is no text"),
    ('{"sasl.password": ', "is not JSON"),
])
def test_what_is_wrong_is_one_line_that_names_the_file(file, text, said):
    path = file(text)
    with pytest.raises(BadData) as caught:
        client_settings("b:1", path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_file_that_is_not_there_is_a_wrong_command_line(tmp_path):
    with pytest.raises(BadUsage, match="no such file"):
        client_settings("b:1", tmp_path / "nothing")


def test_an_empty_address_is_a_wrong_command_line():
    with pytest.raises(BadUsage, match="--broker is empty"):
        client_settings(" ")


@pytest.mark.parametrize("broker", ["kafka", "kafka:9092", "10.0.0.1:9092", "[::1]:9092", "a:1,b:2", "SSL://b:9093"])
def test_one_or_several_addresses_are_taken_as_they_are(broker):
    assert client_settings(f" {broker} ") == {"bootstrap.servers": broker}


@pytest.mark.parametrize("broker", ["foo bar", "http://b:9092", "b:port", "b:9092/", ",", "b:", "::1"])
def test_what_is_no_address_is_a_wrong_command_line(broker):
    with pytest.raises(BadUsage, match="is no address; give HOST:PORT, as in localhost:9092"):
        client_settings(broker)


def test_secrets_are_not_shown():
    secret = ("sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password", "sasl.oauthbearer.config",
              "sasl.oauthbearer.client.secret", "sasl.oauthbearer.assertion.private.key.passphrase")
    shown = redacted({**dict.fromkeys(secret, PASSWORD), "sasl.username": "me", "ssl.ca.location": "/etc/ca.pem"})
    assert shown == {**dict.fromkeys(secret, REDACTED), "sasl.username": "me", "ssl.ca.location": "/etc/ca.pem"}


def test_a_wrong_value_of_a_secret_is_not_shown_either(file, caplog, capfd):
    with caplog.at_level(logging.DEBUG), pytest.raises(BadData) as caught:
        client_settings("b:1", file(f"ssl.key.pem={PASSWORD}\nsecurity.protocol=ssl\n"))
    assert PASSWORD not in str(caught.value) + caplog.text + "".join(capfd.readouterr())
