"""From the client library's errors to ours: what a person must do, what passes by itself, what ends a membership."""

from __future__ import annotations

import re

from confluent_kafka import KafkaError, KafkaException

from adaptive_nerf.common.transport import BrokerError, BrokerUnreachable, CommitFailed, Fenced, LoginRefused

# Another member holds our place, or the group went on without us: what we did not commit is not ours any more.
OUT_OF_THE_GROUP = {
    KafkaError.FENCED_INSTANCE_ID, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError._FENCED,
    KafkaError._ASSIGNMENT_LOST, KafkaError.UNRELEASED_INSTANCE_ID, KafkaError.FENCED_MEMBER_EPOCH,
}
LOGIN = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}
FORBIDDEN = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
             KafkaError.CLUSTER_AUTHORIZATION_FAILED}
TLS_HUNG_UP = "SSL connection closed by peer"  # the library asks "a PLAINTEXT listener?" only in some of its tries
UNTRUSTED = ("certificate verify failed", "unknown ca", "self-signed", "self signed")


def translated(error: KafkaError, settings: dict[str, str]) -> BrokerError:
    """Our error for one of the library's."""
    code = error.code()
    if code in OUT_OF_THE_GROUP or (code == KafkaError._FATAL and "fenced" in error.str().lower()):
        return Fenced(f"another member took our place in the group: {plain(error)}")
    if code in LOGIN:
        return login_refused(error, settings)
    if code in FORBIDDEN:
        return LoginRefused(f"the broker {address_of(settings)} does not allow it ({plain(error)}): "
                            f"give {settings.get('sasl.username', 'this client')} the right to do so")
    if code in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE):
        return BrokerUnreachable(unreachable_line(settings, plain(error)))
    return BrokerError(f"the broker {address_of(settings)}: {plain(error)}")


def commit_error(error: KafkaError, settings: dict[str, str]) -> BrokerError:
    ours = translated(error, settings)
    if error.code() == KafkaError._FATAL:  # the library says no more; a consumer's only fatal fault is to be fenced
        return Fenced("another member took our place in the group")
    if isinstance(ours, Fenced | LoginRefused):
        return ours
    return CommitFailed(f"offsets could not be committed for now: {plain(error)}")


def login_refused(error: KafkaError, settings: dict[str, str]) -> LoginRefused:
    where, text = address_of(settings), plain(error)
    if error.code() != KafkaError._SSL:
        mechanism = settings.get("sasl.mechanism", settings.get("sasl.mechanisms", "GSSAPI"))
        return LoginRefused(f"the broker {where} refused the login (SASL {mechanism}): check sasl.username and "
                            f"sasl.password in the file of --kafka-config")
    if any(words in str(error).lower() for words in UNTRUSTED):
        return LoginRefused(f"the certificate of the broker {where} is not trusted: name its CA with ssl.ca.location "
                            f"in the file of --kafka-config")
    return LoginRefused(f"no TLS connection to the broker {where} ({text}): check security.protocol and ssl.* in the "
                        f"file of --kafka-config")


def unreachable_line(settings: dict[str, str], why: str) -> str:
    return (f"no broker answers at {address_of(settings)} ({why}): start one (./scripts/kafka_node.py start), or name "
            f"another with --broker")


def no_answer(settings: dict[str, str], why: str, hung_up: bool) -> BrokerUnreachable:
    """A wrong kind of connection shows itself only as a broker that takes the call and hangs up."""
    if not why and hung_up:
        return BrokerUnreachable(f"the broker {address_of(settings)} hangs up at once: it may want TLS or a login; set "
                                 f"security.protocol in the file of --kafka-config")
    if TLS_HUNG_UP in why:
        return BrokerUnreachable(f"the broker {address_of(settings)} does not speak TLS: check the address, and "
                                 f"security.protocol in the file of --kafka-config")
    return BrokerUnreachable(unreachable_line(settings, why or "no answer"))


def address_of(settings: dict[str, str]) -> str:
    return settings.get("bootstrap.servers", "?")


def plain(error: KafkaError) -> str:
    """The reason without the library's thread names, addresses and counters."""
    text = error.str().rpartition("Fatal consumer error: ")[2]
    text = re.sub(r"\s*\((?:after|_|[0-9+]).*$", "", text, flags=re.DOTALL)
    text = re.sub(r"^(?:\[.*?\]\s*)?(?:\S+://)?\S+:\d+/\w+:\s*", "", text)
    text = re.sub(r"^Connect to \S+ failed: ", "", text).removeprefix("Broker: ").removeprefix("Local: ")
    if not text or text.endswith(": "):  # a question without an answer: the code alone says why
        reason = KafkaError(error.code()).str().removeprefix("Broker: ").removeprefix("Local: ")
        text += reason or error.name()
    return text if text[1:2].isupper() else text[0].lower() + text[1:]


def error_of(exception: KafkaException) -> KafkaError:
    """The library wraps its error as the first argument of the exception."""
    error = exception.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(error))
