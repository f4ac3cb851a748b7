"""What tests of the page's backend ask of it."""



from adaptive_nerf.rendering.types import Output, Quality
from adaptive_nerf.viewer.status_words import ModelState
from tests.support.viewer_scene import TRAINED_STEPS
from tests.support.waiting import wait_until

LAST = f"step{TRAINED_STEPS:06d}"


def ready(backend):
    wait_until(lambda: backend.model().state is ModelState.READY, "the model")
    return backend


def picture(renderer, backend):
    scene = backend.scene
    camera = scene.photos[0].camera(scene.frame.metres_per_unit)
    return renderer.render(camera, frozenset({Output.RGB, Output.DEPTH}), Quality.FULL)
