"""The settings of a Kafka client: the broker's address and, from a file, what TLS and SASL need.

The file holds lines `key=value` (# starts a comment) or one JSON object, with librdkafka's names. Keys on which our
promises rest cannot be set, and no secret is ever shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka import Producer as AnyClient

from adaptive_nerf.common.errors import BadData, BadUsage
from kafka_utils.errors import error_of

SECRET = re.compile(r"password|secret|passphrase|token|\.pem$|oauthbearer|jaas|private\.key")
KEY = re.compile(r"[a-z0-9._]+")
REDACTED = "[redacted]"
ADDRESS = r"(?:[A-Z_]+://)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
ADDRESSES = re.compile(rf"{ADDRESS}(?:\s*,\s*{ADDRESS})*")

# At-least-once delivery, the order of events, and membership rest on these: the code sets them.
OURS = {
    "bootstrap.servers": "name the broker with --broker",
    "metadata.broker.list": "name the broker with --broker",
    "group.id": "name the group with --group_id",
}
PROMISED = {
    "enable.auto.commit", "enable.auto.offset.store", "auto.commit.enable", "auto.commit.interval.ms",
    "auto.offset.reset", "group.instance.id", "group.protocol", "group.remote.assignor", "offset.store.method",
    "partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms",
    "enable.idempotence", "enable.gapless.guarantee", "acks", "request.required.acks", "retries",
    "message.send.max.retries", "message.timeout.ms", "delivery.timeout.ms", "max.in.flight",
    "max.in.flight.requests.per.connection", "transactional.id", "queuing.strategy", "enable.partition.eof",
    "allow.auto.create.topics", "isolation.level", "statistics.interval.ms", "plugin.library.paths", "debug",
    "log_level", "log.queue", "client.id", "test.mock.num.brokers",
}
JAVA_ONLY = {
    "sasl.jaas.config": "use sasl.username and sasl.password",
    "ssl.truststore.location": "use ssl.ca.location with a PEM file",
    "ssl.truststore.password": "use ssl.ca.location with a PEM file",
    "ssl.truststore.type": "use ssl.ca.location with a PEM file",
    "ssl.keystore.type": "use ssl.certificate.location and ssl.key.location with PEM files",
}


def client_settings(broker: str, config_file: Path | None = None) -> dict[str, str]:
    """What every client is made with. Raises BadUsage or BadData with one line that names the key."""
    if not ADDRESSES.fullmatch(broker.strip()):
        problem = f"{broker!r} is no address" if broker.strip() else "is empty"
        raise BadUsage(f"--broker {problem}; give HOST:PORT, as in localhost:9092")
    settings = {"bootstrap.servers": broker.strip()}
    if config_file is not None:
        settings.update(read_config(config_file))
    return settings


def read_config(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadData(path, "is no UTF-8 text", expected="lines key=value, or a JSON object") from error
    except OSError as error:
        raise BadUsage(f"--kafka-config {path}: {(error.strerror or 'cannot be read').lower()}") from error
    found = _json_object(path, text) if text.lstrip().startswith("{") else _properties(path, text)
    for key in found:
        _refuse(path, key)
    _refuse_unknown(path, found)
    return found


def redacted(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings as they may be shown."""
    return {key: REDACTED if SECRET.search(key) else value for key, value in settings.items()}


def _json_object(path: Path, text: str) -> dict[str, str]:
    try:
        value = json.loads(text, object_pairs_hook=_single_keys)
    except ValueError as error:  # the message of a JSONDecodeError holds a place, never the text itself
        raise BadData(path, f"is not JSON as expected: {error}") from error
    for key, setting in value.items():
        if not isinstance(setting, str | int | float):
            raise BadData(path, "is no text, number or truth value", key=key)
    return {key: str(setting).lower() if isinstance(setting, bool) else str(setting) for key, setting in value.items()}


def _single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is set twice")
    return dict(pairs)


def _properties(path: Path, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#!":
            continue
        key, separator, value = (part.strip() for part in line.partition("="))
        if not separator or not KEY.fullmatch(key):  # the line itself is not shown: it may hold a secret
            raise BadData(path, f"line {number} is not key=value")
        if key in found:
            raise BadData(path, f"line {number} sets it a second time", key=key)
        found[key] = value
    return found


def _refuse(path: Path, key: str) -> None:
    if key in OURS:
        raise BadData(path, f"cannot be set here; {OURS[key]}", key=key)
    if key in PROMISED:
        raise BadData(path, "cannot be set: what this service promises rests on its value; remove the line", key=key)
    if key in JAVA_ONLY:
        raise BadData(path, f"is a setting of the Java client; {JAVA_ONLY[key]}", key=key)


def _refuse_unknown(path: Path, settings: dict[str, str]) -> None:
    """The library itself knows its settings best: make a client of them, without an address, so it calls nobody."""
    try:
        AnyClient({**settings, "log_level": 0})
    except KafkaException as error:
        why = error_of(error).str().removeprefix("Failed to create producer: ")
        raise BadData(path, _without_secrets(why, settings)) from None


def _without_secrets(text: str, settings: dict[str, str]) -> str:
    for key, value in settings.items():
        if value and SECRET.search(key):
            text = text.replace(value, REDACTED)
    return text
