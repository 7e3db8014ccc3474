"""Parameters: what is allowed, and one clear sentence for what is not."""

import pytest
import torch
import yaml

from vidlib.compare.paper import SETTINGS
from vidlib.datasets import DATASETS
from vidlib.profiles import PROFILES, Profile, best_precision, overridden, resolve_profile
from vidlib.study import open_study

QUICK = Profile()


def test_overrides_are_typed_and_leave_the_profile_alone():
    profile = resolve_profile(
        "quick", {"train_seed": 3.0, "mask_lr": 1, "i3d_strides": "[2, 2, 2, 1, 1]"}
    )
    assert (profile.train_seed, type(profile.train_seed)) == (3, int)
    assert (profile.mask_lr, type(profile.mask_lr)) == (1.0, float)
    assert profile.i3d_strides == (2, 2, 2, 1, 1)
    assert PROFILES["quick"]["something"] == QUICK and QUICK.train_seed == QUICK.data_seed == 0
    assert overridden("quick", profile) == {"train_seed": 3, "mask_lr": 1.0}


def test_one_number_makes_a_square():
    assert resolve_profile("quick", {"size": 40}).size == (40, 40)
    assert resolve_profile("quick", {"size": "(60, 80)"}, "kth").size == (60, 80)


def test_the_profile_called_after_the_paper_has_its_tables():
    """Tables 3 and 4, row by row."""
    something, kth = (PROFILES["paper"][name] for name in ("something", "kth"))

    def row(p, family):
        names = ("dropout", "weight_decay", "optimizer", "epochs")
        return tuple(getattr(p, f"{family}_{name}") for name in names)

    assert row(something, "i3d") == (0.5, 0, "adam", 13)
    assert row(kth, "i3d") == (0.7, 5e-5, "adam", 30)
    assert row(something, "clstm") == (0, 0, "sgd", 105)
    assert row(kth, "clstm") == (0.5, 1e-4, "sgd", 21)
    assert something.momentum == kth.momentum == 0.2
    for p, l1, tv in ((something, 0.01, 0.02), (kth, 0.02, 0.04)):
        assert (p.mask_l1, p.mask_tv, p.mask_iterations, p.mask_lr) == (l1, tv, 300, 0.001)
    assert (something.frames, something.size) == (16, (224, 224))
    assert (kth.frames, kth.size) == (32, (120, 160))
    assert len(something.clstm_strides) == 3 and len(kth.clstm_strides) == 2
    for p in (something, kth):
        assert (p.i3d_checkpoint, p.clstm_checkpoint) == ("least loss", "best accuracy")
        assert (p.input_range, p.i3d_bn_momentum) == ("0 to 255", 0.01)
        assert not p.clstm_shared_norm


@pytest.mark.parametrize("dataset", ["something", "kth"])
def test_paper_and_code_are_what_the_table_of_sources_says(dataset):
    """Where text or code is silent, the other one holds."""
    paper, code = (PROFILES[name][dataset] for name in ("paper", "code"))
    differing, of = set(), SETTINGS[SETTINGS["dataset"].isin([dataset, "both"])]
    for row in of[of["field"] != ""].itertuples():
        sides = (row.paper or row.code, row.code or row.paper)
        text, public = (
            getattr(resolve_profile("quick", {row.field: yaml.safe_load(side)}, dataset), row.field)
            for side in sides
        )
        assert getattr(paper, row.field) == text, row
        assert getattr(code, row.field) == public, row
        if text != public:
            differing.add(row.field)
    assert overridden("paper", code, dataset).keys() == differing and differing


def test_the_table_of_sources_leaves_no_setting_of_the_networks_out():
    """Width and strides in space are those of the published network."""
    own = {name for name in vars(QUICK) if name.startswith(("i3d_", "clstm_", "mask_"))}
    assert own - set(SETTINGS["field"]) == {"i3d_width", "i3d_strides", "mask_method"}
    assert (SETTINGS["paper_source"] != "")[SETTINGS["paper"] != ""].all()
    assert (SETTINGS["code_source"] != "")[SETTINGS["code"] != ""].all()
    assert ((SETTINGS["field"] != "") | (SETTINGS["note"] != "")).all()


@pytest.mark.parametrize(
    ("profile", "overrides", "message"),
    [
        ("quik", {}, r"'quik' \(did you mean 'quick'\?\): give one of smoke, quick"),
        ("quick", {"frmes": 1}, r"parameter name is 'frmes' \(did you mean 'frames'\?\)"),
        ("quick", {"frames": "many"}, "frames is 'many': give a whole number"),
        ("quick", {"frames": 16.5}, "frames is 16.5: give a whole number"),
        ("quick", {"frames": True}, "frames is True: give a whole number"),
        ("quick", {"frames": 3}, "frames is 3: give a whole number at least 4"),
        ("quick", {"data_seed": -1}, "data_seed is -1: .* at least 0"),
        ("quick", {"i3d_lr": 0}, "i3d_lr is 0: .* above 0"),
        ("quick", {"i3d_lr": float("nan")}, "i3d_lr is nan: give a number"),
        ("quick", {"train_seed": float("inf")}, "train_seed is inf: give a whole number"),
        ("quick", {"train_seed": 2**40}, "train_seed is 1099511627776: .* below"),
        ("quick", {"i3d_strides": "2;2"}, "i3d_strides is '2;2': give a list of whole"),
        ("quick", {"i3d_dropout": 1}, "i3d_dropout is 1: .* below 1"),
        ("quick", {"render_size": 113}, "render_size is 113: give an even number"),
        ("quick", {"clstm_strides": [2, 0]}, r"clstm_strides is \[2, 0\]: give a list of whole"),
        ("quick", {"explained_clips": 99}, "explained_clips is 99, more than the 20 validation"),
        ("smoke", {"batch_size": 64}, "batch_size is 64, more than the 32 training clips"),
        ("quick", {"i3d_strides": [2, 2]}, "give 5 whole numbers"),
        ("quick", {"clstm_dropout": 1}, "clstm_dropout is 1: .* below 1"),
        ("quick", {"momentum": 2}, "momentum is 2: .* below 1"),
        ("quick", {"size": [4, 5, 6]}, r"size is \(4, 5, 6\): give height and width, or one"),
        ("quick", {"i3d_optimizer": "adm"}, r"i3d_optimizer is 'adm' \(did you mean 'adam'"),
        ("quick", {"clstm_shared_norm": "maybe"}, "clstm_shared_norm is 'maybe': give one of True"),
        ("quick", {"i3d_checkpoint": "best"}, "i3d_checkpoint is 'best'.*: give one of last, le"),
        ("quick", {"clstm_schedule": 3}, "clstm_schedule is 3: give one of one-cycle, plateau"),
        ("quick", {"size": 4}, "leaves no pixel after 3 layers"),
    ],
)
def test_impossible_parameters_stop_with_one_sentence(profile, overrides, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        open_study("something-mini", profile, overrides, runs=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dataset", "overrides", "message"),
    [
        ("kth-mini", {"train_clips": 257}, "train_clips is 257, more than the 256 that kth-mini"),
        ("kth-mini", {"validation_clips": 145}, "validation_clips is 145, more than the 144"),
        ("something-mini", {"train_clips": 6251}, "6250 that something-mini can have of a class"),
        ("cue-order", {"train_clips": 3}, "batch_size is 8, more than the 6 training clips"),
        ("something-mini", {"train_clips": 1}, "gate_batch_size is 16, more than the 10 clips"),
    ],
)
def test_more_or_fewer_clips_than_a_set_can_have_stop_it(dataset, overrides, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        open_study(dataset, "quick", overrides, runs=tmp_path)


def test_another_set_beside_keeps_the_settings_but_not_the_numbers_of_clips(tmp_path):
    changes = {"train_seed": 3, "train_clips": 5000, "frames": 8}
    study = open_study("something-mini", "smoke", changes, runs=tmp_path)
    beside = study.beside("cue-order")
    assert (beside.dataset, beside.runs) == ("cue-order", tmp_path)
    assert beside.name == "smoke+frames=8+train_seed=3"
    assert study.beside("kth-mini").name == "smoke+train_seed=3"  # its profile is another


def test_an_unknown_data_set_names_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="dataset is 'kinetics': give one of something-mini"):
        open_study("kinetics", "quick", runs=tmp_path)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("dataset", [name for name, one in DATASETS.items() if one.rendered])
def test_every_profile_is_possible(name, dataset, tmp_path):
    assert open_study(dataset, name, runs=tmp_path).name == name


@pytest.mark.parametrize("driven", ["float32", "bfloat16"])
def test_auto_is_resolved_once_and_shows_in_keys_but_in_no_name(driven, tmp_path, monkeypatch):
    keys = {}
    for precision in ("float32", "bfloat16"):
        monkeypatch.setenv("VIDLIB_PRECISION", precision)
        study = open_study("something-mini", "quick", runs=tmp_path)
        assert study.profile.precision == precision
        assert study.name == "quick"
        assert study.ingredients("train-i3d")["parameters"]["precision"] == precision
        keys[precision] = study.key("train-i3d"), study.key("prepare")
    assert keys["float32"][0] != keys["bfloat16"][0]
    assert keys["float32"][1] == keys["bfloat16"][1]
    monkeypatch.setenv("VIDLIB_PRECISION", driven)
    for given in ("float32", "bfloat16"):
        study = open_study("something-mini", "quick", {"precision": given}, runs=tmp_path)
        assert study.name == ("quick" if given == driven else f"quick+precision={given}")
        assert study.key("train-i3d") == keys[given][0]


def test_this_machine_decides_where_nobody_else_does(monkeypatch):
    monkeypatch.delenv("VIDLIB_PRECISION", raising=False)
    able = torch.cpu.get_capabilities()
    half = able.get("amx_bf16") or able.get("avx512_bf16") or torch.cuda.is_available()
    assert best_precision() == ("bfloat16" if half else "float32")
    monkeypatch.setenv("VIDLIB_PRECISION", "half")
    with pytest.raises(ValueError, match="VIDLIB_PRECISION"):
        best_precision()
