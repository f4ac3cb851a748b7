import pytest

from adaptive_nerf.common.errors import BadData, BadInput
from adaptive_nerf.models.checkpoint_store import CheckpointStore


@pytest.fixture
def store(tmp_path) -> CheckpointStore:
    return CheckpointStore.of_job(tmp_path)


def put(store: CheckpointStore, *steps: int) -> None:
    for step in steps:
        store.place(step).mkdir(parents=True)
        (store.place(step) / "manifest.json").write_text("{}")


def test_checkpoints_are_found_by_best_last_and_step(store):
    put(store, 500, 1000, 1500)
    store.point("best", store.place(1000))
    store.point("last", store.place(1500))
    assert store.find("best") == store.place(1000)
    assert store.find("last") == store.place(1500)
    assert store.find("step500") == store.find("step000500") == store.place(500)
    assert store.place(500).name == "step000500"


@pytest.mark.parametrize("prefix", ["step7", "best", "newest", "../checkpoints/last", "", "step000500/", "."])
def test_what_is_not_there_is_refused_with_what_is(store, prefix):
    put(store, 500, 1000)
    store.point("last", store.place(1000))
    with pytest.raises(BadInput, match=r"there are: last, step500, step1000$"):
        store.find(prefix)


def test_where_there_is_none_it_is_said(store):
    with pytest.raises(BadInput, match="none at all"):
        store.find("best")


def test_steps_come_by_number_whatever_their_width(store):
    put(store, 2_000_000, 999_999, 40)
    assert list(store.steps()) == [40, 999_999, 2_000_000]


def test_a_half_written_folder_is_no_checkpoint(store):
    put(store, 500)
    (store.folder / ".step001000.partial").mkdir()
    (store.folder / ".step001000.partial" / "manifest.json").write_text("{}")
    (store.folder / "step001500").mkdir()
    assert list(store.steps()) == [500]
    with pytest.raises(BadInput):
        store.find("step1500")


def test_pointers_move_and_are_forgotten_with_what_they_name(store):
    put(store, 500, 1000)
    store.point("last", store.place(500))
    store.point("last", store.place(1000))
    assert store.pointed("last") == store.place(1000)
    (store.place(1000) / "manifest.json").unlink()
    assert store.pointed("last") is None


def test_the_newest_is_what_last_names_or_where_that_is_gone_the_newest_that_is_whole(store):
    assert store.newest() is None
    put(store, 500, 1000, 1500)
    assert store.newest() == store.place(1500)
    store.point("last", store.place(1000))
    assert store.newest() == store.place(1000)
    (store.place(1000) / "manifest.json").unlink()
    assert store.newest() == store.place(1500)


def test_a_pointer_to_somewhere_else_is_refused(store):
    put(store, 500)
    (store.folder / "best").write_text("../../secret\n")
    with pytest.raises(BadData, match="names no checkpoint"):
        store.find("best")


def test_pruning_keeps_the_newest_and_what_is_pointed_at(store):
    put(store, *range(100, 1000, 100))
    store.point("best", store.place(200))
    store.point("last", store.place(900))
    store.prune(2)
    assert list(store.steps()) == [200, 800, 900]
    store.prune(50)
    assert list(store.steps()) == [200, 800, 900]


def test_pruning_clears_what_a_killed_process_left(store):
    put(store, 100, 200)
    for name in (".step000100.gone", ".step000300.partial"):
        (store.folder / name).mkdir()
        (store.folder / name / "expert_000.safetensors").write_text("x")
    store.prune(1)
    assert [path.name for path in store.folder.iterdir()] == ["step000200"]
