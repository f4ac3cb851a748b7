"""Pictures of every tab of the page, for docs/viewer.md, of a real `view` job over a trained model.

    .venv/bin/python -m bench.viewer_pictures --checkpoint logs/example --town data/town

A mediator over the built-in broker runs the job, Chromium without a screen looks at it as a person would.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from adaptive_nerf.common.command_line import parser, run
from adaptive_nerf.common.say import say
from adaptive_nerf.jobs.launch import default_runner
from adaptive_nerf.viewer.access import key_of_job
from bench.data import CLONE
from kafka_utils import dev_broker
from kafka_utils.node import free_port
from tests.support.browser import ARGUMENTS, Tab, chromium_path
from tests.support.town_page_person import Person
from tests.support.waiting import wait_until
from tests.support.world import World, topic_for

WINDOW = (1360, 820)
JPEG_QUALITY, STEPS = 80, 96
PHOTOS = ("Photos learned", "Check photos", "Later flights")
SCENE = {"data_dirname": "prepared", "mask_dirname": "g22_grid_bm105_ss20", "downscale": 0.25, "use_amp": True}


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--checkpoint", type=Path, required=True, help="folder of a trained job")
    command.add_argument("--town", type=Path, required=True, help="the town that it was trained on, prepared")
    command.add_argument("--output", type=Path, default=CLONE / "docs" / "pictures")
    options = command.parse_args()
    with (tempfile.TemporaryDirectory() as folder, sync_playwright() as driver,
          page(Path(folder), options.checkpoint, options.town.resolve()) as url):
        browser = driver.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        Album(Tab.of(browser, *WINDOW), options.output).take_all(url)
        browser.close()


@contextmanager
def page(folder: Path, checkpoint: Path, town: Path) -> Iterator[str]:
    """The address of a `view` job that a mediator runs, beside a job of its own that is done."""
    broker = dev_broker.start(folder / "broker")
    world = World(folder / "world", broker.address, topic_for("pictures"))
    try:
        shutil.copytree(checkpoint / "checkpoints", world.logs / "town" / "checkpoints", symlinks=True)
        world.start("--runner", default_runner(), "--root", town)
        port = free_port()
        job = {**SCENE, "data_path": str(town), "checkpoint_path": "town"}
        world.ledger.send("video-1", **job, op="video", frames=2, width=64, height=48)
        world.ledger.send("view-1", **job, op="view", viewer_host="127.0.0.1", viewer_port=port)
        world.ledger.flush()
        wait_until((world.logs / "view-1" / "viewer_url").exists, "the page is open", 60)
        yield f"http://127.0.0.1:{port}/?token={key_of_job(world.logs / 'view-1')}"
    finally:
        world.close()
        broker.stop()


class Album:
    def __init__(self, tab: Tab, output: Path):
        self.tab, self.person, self.output = tab, Person(tab), output

    def take_all(self, url: str) -> None:
        self.tab.page.goto(url)
        self.person.wait_until_sharp()
        self.tab.page.locator(".mantine-Notification-closeButton").first.click()  # WebGL by software
        shots: list[Callable[[], None]] = [self.view, self.photo, self.depth, self.expert, self.measure, self.adapt,
                                           self.compare, self.snapshots, self.jobs, self.session]
        for shot in shots:
            say(f"viewer_{shot.__name__}.jpg")
            shot()
            self.keep(shot.__name__)

    def keep(self, name: str) -> None:
        self.tab.page.mouse.move(5, 400)  # no hint stands open
        self.person.wait_until_sharp()
        self.person.looks()
        path = self.output / f"viewer_{name}.jpg"
        self.tab.page.screenshot(path=path, type="jpeg", quality=JPEG_QUALITY)

    def view(self) -> None:
        self.person.looks()

    def photo(self) -> None:
        """The little camera nearest to the middle of the window."""
        for x, y in ((510, 455), (720, 385), (535, 383), (400, 380), (575, 385), (235, 420)):
            self.person.clicks(x, y)
            self.tab.page.wait_for_timeout(1500)
            if self.tab.page.get_by_text("The picture behind").count():
                return

    def depth(self) -> None:
        if self.tab.page.get_by_text("Close the photo").count():
            self.person.presses("Close the photo")
        self.person.presses("Overview")
        self.tab.page.wait_for_timeout(1500)
        for layer in PHOTOS:
            self.person.ticks(layer)
        self.person.chooses("Show", "Depth (metres)")

    def expert(self) -> None:
        self.person.chooses("Show", "Expert")
        self.person.ticks("Expert boxes")

    def measure(self) -> None:
        self.person.chooses("Show", "Colour")
        self.person.ticks("Expert boxes")
        self.person.opens("Measure")
        self.person.presses("Point")
        self.person.clicks(270, 640)
        self.person.sees("Point 1: ")
        self.person.presses("Distance")
        self.person.clicks(475, 310)
        self.person.sees("Now click where it ends")
        self.person.clicks(605, 318)
        self.person.sees("Distance 1: ")

    def adapt(self) -> None:
        self.person.presses("Off")
        self.person.opens("Adapt")
        self.person.fills("Your name", "Ada")
        self.person.fills("Steps", str(STEPS))
        self.person.presses("Start")
        self.person.sees(f"Paused after step {STEPS}")

    def compare(self) -> None:
        self.person.opens("Compare")
        self.person.chooses("Compare with", "Before the adaptation")
        self.person.sees("of the white edge")
        self.person.fills("Edge (%)", "36")  # through a row of houses of which some have collapsed

    def snapshots(self) -> None:
        self.person.chooses("Compare with", "nothing")
        self.person.opens("Snapshots")
        self.person.downloads("With drawings")
        self.person.presses("Make a link")
        self.person.sees(re.compile("Saved: "))

    def jobs(self) -> None:
        self.person.opens("Jobs")
        self.person.sees("video-1")

    def session(self) -> None:
        self.person.opens("Session")


if __name__ == "__main__":
    run(main)
