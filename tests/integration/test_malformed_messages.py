"""The whole corpus, sent to a running service: each is answered by itself, and good jobs between them pass unharmed."""

from tests.support.malformed import corpus, good, odd_jobs


def send_corpus(world):
    for number, item in enumerate(corpus()):
        world.ledger.send_bytes(item.value, None, "refused", codes=item.codes, headers=item.headers)
        if number % 50 == 0:
            world.ledger.send(f"between-{number}", "fake: sleep=0")


def refused(service):
    """What was sent to be refused, and acknowledged."""
    return [entry for entry in service.ledger.flush() if entry.expect == "refused"]


def test_each_malformed_message_is_answered_and_the_next_good_job_runs(service):
    before = len(refused(service))
    service.ledger.send_bytes(None, None, "refused", codes=["not_json"])  # Kafka's tombstone
    send_corpus(service)
    service.ledger.send("after-all", "fake: sleep=0")
    service.wait_state("after-all", "SUCCEEDED", within_s=60)
    service.must_be_clean()
    assert len(refused(service)) - before == 1 + len(corpus())


def test_odd_jobs_run_like_any_other(service):
    for name, value in odd_jobs():
        named = value.replace(b'"data/town"', b'"data/town", "job_id": "%s"' % name.encode()).rstrip(b" ")
        service.ledger.send_bytes(named, name)
    for name, _ in odd_jobs():
        service.wait_state(name, "SUCCEEDED", within_s=60)


def test_the_log_shows_no_control_characters_of_senders(service):
    service.ledger.send("shown-\x1b[2J\u202e", "\x1b]0;x\x07", "refused", **{"\x1b[31m\u202e": 1})
    service.ledger.send("after-these", "fake: sleep=0 \x1b[2J")
    service.wait_state("after-these", "SUCCEEDED")
    assert "\x1b" not in service.mediator.said()
    assert "\u202e" not in (service.logs / "mediator.txt").read_text()


def test_a_refusal_names_field_and_remedy_in_its_event(service):
    service.ledger.send_bytes(good(max_resolutoin=1, job_id="typo"), "typo", "refused", codes=["bad_spec"])
    service.ledger.send("after-typo", "fake: sleep=0")
    service.wait_state("after-typo", "SUCCEEDED")
    service.wait_ended(1)
    (event,) = service.events_of("typo")
    assert (event["event"], event["state"]) == ("rejected", "REJECTED")
    assert event["errors"][0]["field"] == "/max_resolutoin"
    assert "max_resolution" in event["errors"][0]["hint"]
