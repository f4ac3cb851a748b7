"""The video that the operation makes, played in a real browser."""

import pytest

from adaptive_nerf.common.run_progress import RunProgress
from adaptive_nerf.pipelines.camera_paths import Flown, preset_path
from adaptive_nerf.pipelines.video_file import render_video
from adaptive_nerf.synth.mesh import Material, box, join, quads
from adaptive_nerf.synth.renderer import MeshRenderer
from adaptive_nerf.synth.world import world_of
from tests.support.browser import chromium_path

pytestmark = pytest.mark.system
PLAYS_ON = "() => { const v = document.querySelector('video'); return v.error === null && v.currentTime > 0.5; }"
FACTS = """() => { const v = document.querySelector('video');
    return {width: v.videoWidth, height: v.videoHeight, duration: v.duration}; }"""
MIDDLE_AT = """async (seconds) => {
    const v = document.querySelector('video'); v.pause();
    await new Promise(done => { v.onseeked = done; v.currentTime = seconds; });
    const c = document.createElement('canvas'); c.width = v.videoWidth; c.height = v.videoHeight;
    const pen = c.getContext('2d'); pen.drawImage(v, 0, 0);
    return [...pen.getImageData(c.width / 2, c.height / 2, 1, 1).data].slice(0, 3); }"""


@pytest.fixture
def page(driver):
    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--allow-file-access-from-files"]
    browser = driver.chromium.launch(executable_path=chromium_path(), args=arguments)
    yield browser.new_page()
    browser.close()


def test_a_video_plays_seeks_and_shows_the_house_in_its_middle(page, tmp_path):
    edge = [(-200, -200, 0), (200, -200, 0), (200, 200, 0), (-200, 200, 0)]
    ground = quads([edge], Material.PLAIN, (0.05, 0.4, 0.05))
    house = box((-8, -8, 0), (8, 8, 6), Material.PLAIN, (0.7, 0.05, 0.05))
    cameras = preset_path("turntable", Flown(-40, 40, -40, 40, 0, 50), 48, (160, 90))
    render_video(MeshRenderer(world_of(join([ground, house]))), cameras, tmp_path / "video.mp4", 24,
                 RunProgress(tmp_path / "progress.json"), lambda: False)
    (tmp_path / "page.html").write_text("<video src='video.mp4' muted autoplay></video>")
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function(PLAYS_ON)
    assert page.evaluate(FACTS) == {"width": 160, "height": 90, "duration": 2}
    for seconds in (0.2, 1.7, 1.0):
        red, green, blue = page.evaluate(MIDDLE_AT, seconds)
        assert red > 2 * max(green, blue), "the house is red"
