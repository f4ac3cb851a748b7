"""Photos stay in the host's memory; all that meets the field is where the field is. Torch's `meta` device holds no
numbers, and so stands for any that is not the host's."""

from dataclasses import replace

from adaptive_nerf.pipelines import meta
from tests.unit.pipelines.training.test_algorithms import NONE, taken


def elsewhere(joint):
    joint.field = replace(joint.field, parameters=joint.field.parameters.map(lambda value: value.to("meta")))
    return joint


def devices(batch) -> set[str]:
    return {value.device.type for value in vars(batch).values()}


def test_the_rays_of_a_joint_step_go_to_where_the_field_is(prepared):
    joint = elsewhere(prepared().joint)
    batch = joint.draw()
    assert devices(batch) == {"meta"}
    assert joint.rays_of(batch).origins.device.type == joint.guard(len(batch)).floor.device.type == "meta"


def test_those_of_a_meta_step_too(prepared, monkeypatch):
    training, seen = prepared(algo="fomaml", warmup_joint=0.0), []
    monkeypatch.setattr(meta, "adapted", lambda joint, support, *_: seen.append(support))
    monkeypatch.setattr(meta, "_score", lambda joint, adapted, query, *_: seen.append(query) or float("nan"))
    training.cells = training._find_cells()
    elsewhere(training.joint)
    taken(training, NONE)
    assert [devices(batch) for batch in seen] == [{"meta"}, {"meta"}]
