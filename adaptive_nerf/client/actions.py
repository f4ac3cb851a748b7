"""What each verb of scripts/jobs.py does."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from adaptive_nerf.client import dead_letters as letters
from adaptive_nerf.client import tables
from adaptive_nerf.client.event_stream import Event, EventStream, open_reader
from adaptive_nerf.client.following import line_of
from adaptive_nerf.client.job_logs import print_output
from adaptive_nerf.client.plain_text import printable
from adaptive_nerf.client.sending import answer_of, deliver, deliver_only, no_answer
from adaptive_nerf.client.way import Way, way_of
from adaptive_nerf.common.command_line import print_json
from adaptive_nerf.common.errors import BadInput, BadUsage, Failure
from adaptive_nerf.common.say import say
from adaptive_nerf.jobs.control import NoMediator, ask, read_control
from adaptive_nerf.jobs.message import BadMessage
from adaptive_nerf.jobs.states import TERMINAL

T = TypeVar("T")
ANSWER_S = 15.0


def list_jobs(given: Namespace) -> None:
    _print(given, _list_of(given), tables.print_list)


def status(given: Namespace) -> None:
    _print(given, ask(given.state, {"verb": "status"}), tables.print_status)


def show(given: Namespace) -> None:
    _print(given, ask(given.state, {"verb": "show", "job_id": given.job}), tables.print_job)


def watch(given: Namespace) -> None:
    try:
        (tables.watch_as_json if given.json else tables.watch)(lambda: _list_of(given))
    except KeyboardInterrupt:
        return


def logs(given: Namespace) -> None:
    """Of a mediator that does not run, its files still tell."""
    try:
        job = ask(given.state, {"verb": "show", "job_id": given.job})
    except NoMediator:
        folder = given.logs / given.job
        if given.follow or not folder.is_dir() or folder.parent.resolve() != given.logs.resolve():
            raise
        say(f"no mediator runs; this is what {folder} holds")
        print_output(folder, False, lambda: True, given.json)
        return
    try:
        print_output(Path(job["log_dir"]), given.follow, lambda: _has_ended(given), given.json)
    except KeyboardInterrupt:
        return


def cancel(given: Namespace) -> None:
    _tell(given, "cancel")


def retry(given: Namespace) -> None:
    _tell(given, "retry")


def dead_letters(given: Namespace) -> None:
    if given.replay and (given.replay[0] != "replay" or len(given.replay) != 2):
        raise BadUsage("dead-letters lists them, dead-letters replay OFFSET sends one again")
    if given.last < 1 or (given.set and not given.replay):
        raise BadUsage("--last takes 1 or more, and --set goes with replay OFFSET")
    way = way_of(given)
    way.check()
    if given.replay:
        _replay(given, way, given.replay[1])
    else:
        _print(given, letters.newest(way, given.last), letters.print_letters)


def _replay(given: Namespace, way: Way, place: str) -> None:
    """Sent again to where it came from; the answer is waited for where the message has a name to be known by."""
    topic, value = letters.original(way, place)
    if topic != way.topics.jobs:
        deliver(way, topic, value)
        _print(given, {"sent_to": topic, "events": []}, lambda answer: say(f"sent to {topic}"))
        return
    value = letters.corrected(value, given.set or [])
    job_id = letters.job_id_of(value)
    if job_id is None:
        deliver_only(way, value)
        text = f"sent to {topic}; it has no job_id, so ./scripts/jobs.py list tells what became of it"
        _print(given, {"sent_to": topic, "events": []}, lambda answer: say(text))
        return
    with EventStream(way) as stream:
        deliver(way, way.topics.jobs, value)
        told = answer_of(stream, job_id, ANSWER_S)
    if not told:
        raise no_answer(way, given.state, job_id, ANSWER_S)
    _print(given, {"sent_to": topic, "events": told}, lambda answer: _say_events(job_id, told))


def _say_events(job_id: str, told: Iterable[Event]) -> None:
    for line in filter(None, map(line_of, told)):
        say(f"{job_id} {line}")


def _list_of(given: Namespace) -> dict[str, Any]:
    return ask(given.state, {"verb": "list", "states": given.in_state or [], "limit": given.last})


def _print(given: Namespace, answer: T, for_people: Callable[[T], None]) -> None:
    if given.json:
        print_json(answer)
    else:
        for_people(answer)


def _has_ended(given: Namespace) -> bool:
    try:
        return ask(given.state, {"verb": "show", "job_id": given.job})["state"] in TERMINAL
    except NoMediator:
        say("the mediator has left; the job goes on without an audience")
        return True


def _tell(given: Namespace, verb: str) -> None:
    if given.via_topic:
        _tell_by_topic(given, way_of(given), verb)
        return
    try:
        answer = ask(given.state, {"verb": verb, "job_id": given.job})
    except NoMediator as error:
        raise Failure(f"{error}, or leave your wish in the topic: ./scripts/jobs.py {verb} {printable(given.job)} "
                      f"--via-topic") from error
    if given.json:
        print_json(answer)
        return
    near = answer.get("near") or []
    print_line(answer["told"] + (f"; did you mean {' or '.join(near)}?" if near else ""))


def _tell_by_topic(given: Namespace, way: Way, verb: str) -> None:
    job_id, topic = given.job, way.topics.control
    message = json.dumps({"verb": verb, "job_id": job_id}).encode()
    try:
        read_control(message)
    except BadMessage as error:
        raise BadInput(str(error)) from error
    way.check()
    open_reader(way, topic).close()
    deliver(way, topic, message)
    told = f"{verb} of {job_id} is in {topic} at {way.address}; the next mediator there obeys"
    _print(given, {"job_id": job_id, "state": None, "told": told}, lambda answer: print_line(told))


def print_line(text: str) -> None:
    tables.console().print(printable(text), markup=False, highlight=False, soft_wrap=True)
