from adaptive_nerf.jobs.message import KNOWN_FIELDS
from adaptive_nerf.jobs.schema import json_schema, markdown
from adaptive_nerf.jobs.spec import MODELS


def test_the_page_on_the_job_message_is_made_from_the_models(clone):
    assert (clone / "docs" / "job_message.md").read_text() == markdown()


def test_every_field_has_a_meaning():
    silent = {name for model in MODELS.values() for name, field in model.model_fields.items()
              if not field.description and name != "op"}
    assert silent == set()


def test_every_field_has_one_row():
    rows = [line.split("`")[1] for line in markdown().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted((KNOWN_FIELDS - {"op"}) | set(MODELS))


def test_the_schema_tells_operations_apart():
    assert json_schema()["discriminator"]["propertyName"] == "op"
