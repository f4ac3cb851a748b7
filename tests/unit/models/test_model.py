from tests.support.fields import tiny_model


def test_steps_are_counted_for_those_that_learned():
    trained = tiny_model().trained(iter([1, 3]), 5)
    assert trained.step == 45
    assert trained.expert_steps == {0: 40, 1: 45, 2: 40, 3: 45}
