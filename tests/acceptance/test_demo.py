"""The demo in small, as a newcomer sees it: its lines, its page in a browser, its report, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adaptive_nerf.jobs.control import ask
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from tests.support.town_page_person import Person
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
SMALL = {
    "train": {"downscale": 0.5, "outer_steps": 240, "log2_hashmap_size": 12, "rays": 512, "samples": 8192,
              "support_rays": 128, "query_rays": 64, "inner_iter": 2, "batch_size": 1, "eval_step": 120,
              "save_step": 120},
    "adapt": {"downscale": 0.5, "tto": 64, "support_rays": 512},
    "eval": {"downscale": 0.5, "tto": "0,64", "support_rays": 512}, "view": {"downscale": 0.25}}
STAGES = ["this machine", "a town", "the scene", "the partition", "the later flight", "maps and overlays", "view",
          "train", "adapt", "eval"]
END = "Ctrl-C ends the page and the service"  # once all is done
LAYERS = ("Photos learned", "Check photos", "Later flights")  # little cameras in the picture


class Demo:
    """One run of it; what it says goes to a file."""

    def __init__(self, home, *flags):
        self.file = home / f"said.{len(list(home.glob('said.*')))}"
        self.home = home
        with self.file.open("wb") as said:
            self.process = subprocess.Popen([sys.executable, "scripts/demo.py", "--home", home, *flags], stdout=said,
                                            stderr=said, stdin=subprocess.DEVNULL)

    def said(self):
        return self.file.read_text()

    def wait_for(self, text, within_s=200):
        def told():
            assert self.process.poll() is None or text in self.said(), self.said()
            return text in self.said()

        wait_until(told, f"the demo says {text!r}", within_s, every_s=0.1)

    def ends(self, within_s=200):
        return self.process.wait(within_s)

    def interrupt(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.ends(60)


def processes_with(home):
    """Command lines of all that has to do with that folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(home) in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


def stages_of(run):
    """Their names, each with whether it was stopped."""
    lines = re.findall(r"^(.+?)  +\d+\.\d s( +stopped)?", run.said(), re.MULTILINE)
    return [(re.split("[,:]", name)[0].removesuffix(" into four experts"), bool(stopped)) for name, stopped in lines]


def has_learned(progress):
    """A step at least, so that there is something to go on from."""
    return progress.exists() and json.loads(progress.read_bytes())["step"] >= 1


def said_by(home, job_id):
    """The log of a job, or of those whose names match."""
    return "".join(path.read_text() for path in (home / "logs").glob(f"{job_id}/log.txt"))


@pytest.fixture(scope="module")
def home(tmp_path_factory, clone):
    """A folder with small configs and a small town; all else is the demo's to make."""
    home = tmp_path_factory.mktemp("home")
    (home / "configs").mkdir()
    for op, fields in SMALL.items():
        job = json.loads((clone / "configs" / f"{op}.json").read_bytes()) | fields
        job = {name: value for name, value in job.items() if name != "seconds"}
        (home / "configs" / f"{op}.json").write_text(json.dumps(job))
    subprocess.run([sys.executable, clone / "scripts/make_town.py", "--output", home / "data/town", "--photos", "12",
                    "--event_photos", "4", "--resolution", "96", "72", "--seed", "3"], check=True, capture_output=True)
    return home


@pytest.fixture
def demo(home, clone, monkeypatch):
    """Starts the demo; what is left of it is ended."""
    monkeypatch.chdir(clone)
    runs = []

    def start(*flags):
        runs.append(Demo(home, *flags))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.interrupt()


@pytest.fixture(scope="module")
def stopped(home, clone):
    """A first run that is stopped while it trains: its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        run = Demo(home)
        try:
            run.wait_for("look at it now")
            wait_until(lambda: has_learned(home / "logs/example/progress.json"), "the training is at work", 60)
        finally:
            run.interrupt()
        return run.process.returncode


def test_stopped_in_the_middle_it_leaves_no_process(stopped, home):
    assert stopped == 130
    assert processes_with(home) == []


def test_run_again_it_goes_on_shows_a_page_and_leaves_a_report(stopped, home, demo, open_tab):
    run = demo()
    run.wait_for("look at it now")
    address, below = re.search(r"look at it now: (\S+)\n +(.+)\n", run.said()).groups()
    assert "token=" in address
    assert below.startswith("Ctrl-C ends all of it")
    person = Person(open_tab(address))
    run.wait_for(END)
    assert stages_of(run) == [(stage, False) for stage in STAGES], run.said()
    assert "<html" in (home / "logs/demo-eval/report.html").read_text()[:500]
    left_at = int(re.search(r"going on from \S+/step(\d+)", said_by(home, "example"))[1])
    assert set(CheckpointStore.of_job(home / "logs/example").steps()) == {left_at, 120, 240}
    wait_until(lambda: "showing step000240" in said_by(home, "demo-view-*"), "the page follows the training")
    person.wait_until_sharp()
    for layer in LAYERS:
        person.ticks(layer)
    assert person.looks()[150:540, :640].std() > 10  # the town, not an empty ground
    person.tab.close()
    assert run.interrupt() == 0
    assert processes_with(home) == []


def test_once_more_it_keeps_what_is_there_and_shows_the_second_flight_better_than_before(home, demo):
    run = demo("--no_wait")
    assert run.ends() == 0, run.said()
    assert [word in run.said() for word in ("logs/example)", "logs/demo-adapt)", "logs/demo-eval)")] == [True] * 3
    for what in ("whole photos", "what had changed", "the rest of them"):
        before, after = map(float, re.search(rf"{what} +(\d+\.\d) dB -> (\d+\.\d) dB", run.said()).groups())
        assert after > before + 0.1, what
    assert processes_with(home) == []


def test_a_home_without_configs_is_refused_before_anything_is_made(tmp_path, clone, monkeypatch):
    monkeypatch.chdir(clone)
    run = Demo(tmp_path, "--home", tmp_path / "nowhere")
    assert run.ends(60) == 2
    assert "nowhere holds no configs/train.json" in run.said()
    assert [path.name for path in tmp_path.iterdir()] == ["said.0"]


def test_a_second_one_at_the_same_time_is_refused(home, demo):
    first = demo()
    first.wait_for(END)
    second = demo()
    assert second.ends() == 2
    assert "error: a demo runs already" in second.said()
    assert first.interrupt(signal.SIGTERM) == 0


@pytest.mark.parametrize("with_its_mediator", [False, True])
def test_one_that_was_killed_is_cleaned_up_by_the_next(home, demo, with_its_mediator):
    first = demo()
    first.wait_for("look at it now")
    mediator = ask(home / ".state/demo", {"verb": "status"})["pid"]
    first.process.kill()
    first.process.wait()
    if with_its_mediator:
        os.kill(mediator, signal.SIGKILL)
    assert [line for line in processes_with(home) if "nerf_runner" in line]
    second = demo("--no_wait")
    assert second.ends() == 0, second.said()
    assert processes_with(home) == []
