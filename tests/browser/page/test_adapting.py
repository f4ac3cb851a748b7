"""Learning a later flight: everybody sees it, one person holds it, it is compared, kept, and taken back."""

import re

import pytest

pytestmark = pytest.mark.system


def test_the_view_follows_while_one_person_learns_and_the_others_watch(serve, visit):
    served = serve()
    ada, ben = visit(served), visit(served)
    before = ben.looks()
    for person in (ada, ben):
        person.opens("Adapt")
    ada.fills("Steps", "40")
    ada.presses("Start")
    ada.sees("Paused after step 40")
    ada.sees("You started it")
    ben.sees(re.compile(r"Person \d started it"))
    after = ben.sees_other_than(before, "the town after the event", slice(560, 700))
    ben.presses("Reset")
    ben.sees("is adapting to event; wait")
    ada.presses("Keep")
    ada.sees("Nothing is being learned")
    ben.presses("Undo keep")
    ben.sees_other_than(after, "another town", slice(560, 700))
    ben.sees_again(before, "the town as before", slice(0, 700))
    assert served.process.poll() is None


def test_before_and_after_stand_side_by_side_and_their_difference_lights_up(serve, visit):
    person = visit(serve())
    before = person.looks()
    person.opens("Compare")
    person.sees("There is only one state of the model yet")
    person.opens("Adapt")
    person.presses("One step")
    person.sees("Paused after step 1")
    after = person.sees_other_than(before, "the town after the event", slice(560, 700))
    person.opens("Compare")
    person.sees("Choose what to compare")
    person.chooses("Compare with", "Before the adaptation")
    person.sees("of the white edge")
    person.fills("Edge (%)", "100")
    whole = person.sees_other_than(after, "another town", slice(560, 700))
    person.sees_again(before, "all of it as before", slice(0, 700))
    person.chooses("How", "Difference")
    person.sees("How much the picture changed")
    lit = person.sees_other_than(whole, "the difference", slice(100, 500))
    assert lit[400:600, 400:560].mean() < 60, "where nothing changed it is dark"
    person.chooses("Compare with", "nothing")
    person.sees_again(after, "no comparison", slice(0, 700))


def test_somebody_looks_at_the_model_from_before_and_compares_it_with_the_one_now(serve, visit):
    person = visit(serve())
    before = person.looks()
    person.opens("Adapt")
    person.presses("One step")
    person.sees("Paused after step 1")
    after = person.sees_other_than(before, "the town after the event", slice(560, 700))
    person.opens("View")
    person.chooses("Model", "Before the adaptation")
    person.sees("You look at:")
    person.sees_again(before, "the town as before", slice(560, 700))
    person.opens("Compare")
    person.chooses("Compare with", "This page's model")
    person.sees("Right of it: Before the adaptation")
    person.fills("Edge (%)", "100")
    person.sees_again(after, "all of it as it is now", slice(560, 700))


def test_a_checkpoint_is_saved_into_the_jobs_folder(serve, visit):
    served = serve()
    person = visit(served)
    person.opens("Session")
    person.presses("Save a checkpoint")
    person.sees("Saved in checkpoints")
    assert (served.job / "checkpoints" / "before.txt").exists()
