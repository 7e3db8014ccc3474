"""The quick profile, whole: the networks learn enough for their explanations to mean something."""

import pytest

from vidlib.study import open_study

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def tables():
    study = open_study("something-mini", "quick")
    return {
        name: {table: study.table(f"evaluate-{name}", table) for table in ("summary", "per_class")}
        for name in ("i3d", "clstm")
    }


def test_both_networks_learn_and_neither_is_saturated(tables):
    top1 = [t["summary"].set_index("direction").loc["forward", "top1"] for t in tables.values()]
    assert min(top1) >= 0.8
    assert min(top1) <= 0.97


@pytest.mark.parametrize("name", ["i3d", "clstm"])
def test_reversed_classes_turn_into_their_mirror_image(tables, name):
    turned = tables[name]["per_class"].query("direction == 'reversed'").set_index("label")
    for one, other in ((93, 94), (43, 45), (36, 37), (166, 167), (165, 168)):
        assert turned.loc[one, "turns_into"] == other
        assert turned.loc[other, "turns_into"] == one
    assert turned.loc[164, "turns_into"] == 164  # upside down looks alike backwards
