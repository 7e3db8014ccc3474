"""The heavy stages of the study: what each does, and what it depends on.

A stage is a function of the profile's fields that it declares, the folders of the stages before it
and a folder to fill. It imports what it uses inside its own body: those imports, followed at any
depth, are what `vidlib.keys` hashes to tell whether its results are current.
"""

import functools
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vidlib.datasets import (
    DATASETS,
    function_of,
    module_of,
    observer_of,
    read_index,
    render_dataset,
)
from vidlib.variants import STUDIED, VARIANTS


def render(p, inputs, folder: Path, dataset: str) -> None:
    """Render the data set's video files, its lists and its truth."""
    clips = {"train": p.train_clips, "validation": p.validation_clips}
    render_dataset(dataset, folder, clips, getattr(p, "render_size", None), p.seed)


LARGEST_CACHE = 64 * 2**30  # bytes of prepared clips; what is larger, or the disk, is streamed


def prepare(p, inputs, folder: Path, dataset: str) -> None:
    """Read the data set; sample and resize its clips, or, of a very large one, check them."""
    from vidlib.data.prepare import prepare_clips, space_for

    index = read_index(dataset, inputs["files"])
    pd.DataFrame(index.attrs["problems"], columns=["problem", "count", "first"]).to_parquet(
        folder / "problems.parquet"
    )
    # A test split has no labels.
    index = index[index["label"].notna()].reset_index(drop=True).astype({"label": int})
    needed = len(index) * p.frames * math.prod(p.size) * 3
    prepare_clips(
        index,
        folder,
        frames=p.frames,
        size=p.size,
        processes=os.cpu_count() or 1,
        cache=needed <= min(LARGEST_CACHE, space_for(folder / "frames.npy")),
    )


def observe(p, inputs, folder: Path, dataset: str) -> None:
    """Let the ideal observer say which windows of each prepared clip remove its class."""
    from vidlib.compare.windows import survival
    from vidlib.data.clips import load_clips
    from vidlib.rendered.truth import Truth

    index = load_clips(inputs["prepare"]).index
    truth = Truth(inputs["files"])
    scenes = {clip_id: truth.scene(clip_id) for clip_id in index["clip_id"]}
    labels = dict(zip(index["clip_id"], index["label"], strict=True))
    found = survival(scenes, labels, observer_of(dataset), p.frames)
    found.table.assign(split=index["split"]).to_parquet(folder / "clips.parquet")
    np.savez_compressed(folder / "answers.npz", freeze=found.freeze, reverse=found.reverse)


def leakage(p, inputs, folder: Path) -> None:
    """Ask classifiers that cannot use the order of frames to tell mirrored classes apart."""
    from vidlib.compare.leakage import gate
    from vidlib.data.clips import load_clips

    clips = load_clips(inputs["prepare"])
    table = gate(
        clips.split("train"),
        clips.split("validation"),
        folder / "training",
        epochs=p.gate_epochs,
        batch_size=p.gate_batch_size,
        lr=p.gate_lr,
        seed=p.seed,
    )
    table.to_parquet(folder / "pairs.parquet")
    shutil.rmtree(folder / "training")


def intervene(p, inputs, folder: Path) -> None:
    """Train a small network on planted cues; see what it says when they are removed and moved."""
    from vidlib.compare.reliance import intervention_table, turned_and_mirrored
    from vidlib.data.clips import load_clips
    from vidlib.models.framewise import FrameGRU
    from vidlib.training import Recipe, fit

    clips = load_clips(inputs["prepare"])
    recipe = Recipe(
        epochs=p.cue_epochs,
        batch_size=p.gate_batch_size,
        lr=p.gate_lr,
        seed=p.seed,
        weight_decay=0.01,
    )
    torch.manual_seed(p.seed)
    network = FrameGRU(len(clips.classes), width=8, shuffled=False)
    train = turned_and_mirrored(clips.split("train"))
    fit(network, train, clips.split("validation"), folder / "training", recipe)
    table = intervention_table(network.eval(), inputs["files"], clips.split("validation"))
    table.to_parquet(folder / "interventions.parquet")
    shutil.rmtree(folder / "training")


# What a profile says of how the networks of a family are trained.
RECIPE = ("epochs", "lr", "optimizer", "schedule", "weight_decay")


def train(p, inputs, folder: Path, network: str) -> None:
    """Train one network, or a control; keep its weights and learning curves."""
    from vidlib.data.clips import load_clips
    from vidlib.models.store import build_network, save_network
    from vidlib.training import Recipe, fit

    clips = load_clips(inputs["prepare"])
    variant = VARIANTS[network]
    arguments = variant.arguments(p, len(clips.classes))
    settings = {name: getattr(p, f"{variant.family}_{name}") for name in RECIPE}
    recipe = Recipe(**settings, batch_size=p.batch_size, momentum=p.momentum, seed=p.seed)
    torch.manual_seed(p.seed)
    net = variant.start(arguments) if variant.start else build_network(variant.family, arguments)
    splits = clips.split("train"), clips.split("validation")
    history = fit(net, *splits, folder, recipe, together=True)
    save_network(net, folder, variant.family, arguments)
    pd.DataFrame(history).to_parquet(folder / "history.parquet")
    (folder / "last.ckpt").unlink(missing_ok=True)


def evaluate(p, inputs, folder: Path, network: str) -> None:
    """Score the validation clips forwards, reversed and with fewer distinct frames; probe them."""
    from vidlib.compare.accuracy import (
        DIRECTIONS,
        class_drops,
        guess_table,
        per_class,
        reversal_drops,
        summary,
    )
    from vidlib.compare.arrow import arrow_of_time, arrow_table
    from vidlib.compare.distinct import distinct_counts, distinct_table, held_frames
    from vidlib.data.clips import load_clips, stream_clips, to_network
    from vidlib.explain.scores import score_clips
    from vidlib.models.store import best_device, load_network

    clips = load_clips(inputs["prepare"])
    validation = clips.split("validation")
    net = load_network(inputs[f"train-{network}"]).to(best_device())
    length = validation.frames.shape[1]
    fewer = distinct_counts(length)[:-1]
    parts = {name: [] for name in (*DIRECTIONS, *fewer)}
    seen = []
    for batch in stream_clips(validation, 64):
        x = to_network(batch.frames)
        parts["forward"].append(score_clips(net, x))
        parts["reversed"].append(score_clips(net, x.flip(2)))
        for kept in fewer:
            held = score_clips(net, x[:, :, held_frames(length, kept)])
            parts[kept].append(held.argmax(1))
        seen.append(batch.positions)
    validation = validation.subset(torch.cat(seen).numpy())
    outputs = torch.from_numpy(validation.outputs).long()
    scores = {direction: torch.cat(parts[direction]) for direction in DIRECTIONS}
    guesses = guess_table(scores, outputs, clips.classes)
    guesses.insert(0, "clip_id", validation.index["clip_id"])
    numbers = np.array(clips.classes)
    held = {kept: numbers[torch.cat(parts[kept]).numpy()] for kept in fewer}
    held = pd.DataFrame({"label": guesses["label"], **held, length: guesses["forward"]})
    probed = arrow_of_time(net, clips.split("train"), validation, seed=p.seed)
    tables = {
        "summary": summary(guesses, seed=p.seed),
        "drops": reversal_drops(guesses, seed=p.seed),
        "per_class": per_class(scores, outputs, clips.classes, clips.names),
        "class_drops": class_drops(guesses, clips.names, seed=p.seed),
        "distinct": distinct_table(held, seed=p.seed),
        "arrow_clips": probed,
        "arrow": arrow_table(probed),
        "guesses": guesses,
    }
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
    np.savez_compressed(folder / "scores.npz", **{d: s.numpy() for d, s in scores.items()})


def chosen_clips(p, index: pd.DataFrame) -> np.ndarray:
    """Return the rows of the clips to explain: so many of each class, drawn by the seed."""
    rng = np.random.default_rng(p.seed)
    rows = []
    for label in sorted(index["label"].unique()):
        there = np.flatnonzero(index["label"] == label)  # fewer, where some cannot be decoded
        rows.append(rng.choice(there, min(p.explained_clips, len(there)), replace=False))
    return np.concatenate(rows)


def masks_by(p, network: torch.nn.Module, x: torch.Tensor):
    """Return the masks of clips by the profile's method."""
    from vidlib.explain.masks import find_masks, learn_masks

    shared = {"l1": p.mask_l1, "tv": p.mask_tv, "progress": True}
    if p.mask_method == "find":
        return find_masks(network, x, **shared)
    return learn_masks(
        network,
        x,
        procedure=p.mask_method,
        iterations=p.mask_iterations,
        lr=p.mask_lr,
        **shared,
    )


def in_parts(
    folder: Path, clips: int, make: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Make arrays of clips, 16 at a time, and join them; a killed run goes on where it was.

    make: of the numbers of some clips, arrays with a row for each.
    """
    parts = []
    for number, rows in enumerate(np.split(np.arange(clips), range(16, clips, 16))):
        part = folder / f"part_{number}.npz"
        if not part.exists():
            np.savez_compressed(folder / "part.npz", **make(rows))
            os.replace(folder / "part.npz", part)
        with np.load(part) as arrays:
            parts.append(dict(arrays))
    for part in folder.glob("part_*.npz"):
        part.unlink()
    return {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}


def explain(p, inputs, folder: Path, dataset: str, network: str) -> None:
    """Make Grad-CAM maps and temporal masks; score the clips frozen, and reversed, by the mask."""
    from vidlib.compare.explanations import blob_statistics, drops
    from vidlib.compare.truth import against_truth
    from vidlib.data.clips import load_clips
    from vidlib.explain.gradcam import grad_cam
    from vidlib.explain.perturb import perturb, reverse
    from vidlib.explain.scores import score_clips
    from vidlib.models.store import best_device, load_network
    from vidlib.rendered.truth import Truth

    clips = load_clips(inputs["prepare"])
    validation = clips.split("validation")
    chosen = validation.subset(chosen_clips(p, validation.index))
    net = load_network(inputs[f"train-{network}"]).to(best_device())

    def make(rows: np.ndarray) -> dict[str, np.ndarray]:
        x, y = chosen.subset(rows).batch()
        found = masks_by(p, net, x)
        original = score_clips(net, x)
        turned = score_clips(net, perturb(x, reverse(found.mask)))
        return {
            "saliency": np.round(255 * grad_cam(net, x).numpy()).astype(np.uint8),
            "mask": found.mask.numpy(),
            "start": found.start.numpy(),
            "loss": found.loss.numpy(),
            "guess": found.targets.numpy(),
            "OS": found.original_score.numpy(),
            "FS": found.score.numpy(),
            "RS": turned.gather(1, found.targets[:, None])[:, 0].numpy(),
            "CS": original.gather(1, y[:, None])[:, 0].numpy(),
        }

    made = in_parts(folder, len(chosen), make)
    saliency, masks, starts = (made.pop(name) for name in ("saliency", "mask", "start"))
    table = chosen.index[["clip_id", "label", "label_name"]].join(pd.DataFrame(made))
    table["guess"] = np.array(clips.classes)[table["guess"]]
    table["start_length"] = starts.sum(1)
    table["mask_length"] = (masks > 0.5).sum(1)
    table["mask_sum"] = masks.sum(1)
    table["mask_above_0.1"] = (masks > 0.1).sum(1)
    table = table.join(drops(table))
    table = table.join(pd.DataFrame([blob_statistics(maps / 255) for maps in saliency]))
    if DATASETS[dataset].rendered:
        truth, judge = Truth(inputs["files"]), observer_of(dataset)
        table = table.join(against_truth(truth, judge, table["clip_id"], saliency, masks, starts))
    table.to_parquet(folder / "clips.parquet")
    np.savez_compressed(folder / "arrays.npz", saliency=saliency, mask=masks, start=starts)


# The ways to learn a mask that are held against the best window.
LEARNED = {
    "paper, rate 0.001": {"procedure": "paper", "lr": 0.001},
    "paper, rate 0.2": {"procedure": "paper", "lr": 0.2},
    "corrected": {"procedure": "corrected", "lr": 0.2},
}


def search(p, inputs, folder: Path, network: str) -> None:
    """Score every window of some explained clips; hold learned masks against the best of them.

    The clips are spread evenly over the explained ones; `clips` says which these are.
    """
    from vidlib.data.clips import load_clips
    from vidlib.explain.masks import find_masks, learn_masks, search_masks
    from vidlib.explain.perturb import PERTURBATIONS, REORDERINGS
    from vidlib.models.store import best_device, load_network

    explained = load_clips(inputs["prepare"]).split("validation")
    explained = explained.subset(chosen_clips(p, explained.index))
    positions = np.linspace(0, len(explained) - 1, min(p.searched_clips, len(explained)))
    positions = np.unique(positions.round().astype(int))
    net = load_network(inputs[f"train-{network}"]).to(best_device())
    weights = {"l1": p.mask_l1, "tv": p.mask_tv}

    def make(rows: np.ndarray) -> dict[str, np.ndarray]:
        x, _ = explained.subset(positions[rows]).batch()
        searched = {
            name: search_masks(net, x, perturbation=PERTURBATIONS[name], progress=True, **weights)
            for name in REORDERINGS
        }
        found = {
            name: learn_masks(
                net, x, iterations=p.mask_iterations, progress=True, **weights, **options
            )
            for name, options in LEARNED.items()
        }
        found = {"best window": searched["freeze"], **found, "found": find_masks(net, x, **weights)}
        return {
            **{f"{name}, landscape": one.landscape.numpy() for name, one in searched.items()},
            **{f"{name}, loss": one.loss.numpy() for name, one in found.items()},
            **{f"{name}, mask": one.mask.numpy() for name, one in found.items()},
        }

    made = in_parts(folder, len(positions), make)
    landscapes = {name: made[f"{name}, landscape"] for name in REORDERINGS}
    np.savez_compressed(folder / "landscapes.npz", clips=positions, **landscapes)
    rows = [
        pd.DataFrame(
            {
                "clip_id": explained.index["clip_id"].to_numpy()[positions],
                "masks": name,
                "loss": made[f"{name}, loss"],
                "above_best": made[f"{name}, loss"] - made["best window, loss"],
                "length": (made[f"{name}, mask"] > 0.5).sum(1),
            }
        )
        for name in ("best window", *LEARNED, "found")
    ]
    pd.concat(rows, ignore_index=True).to_parquet(folder / "gaps.parquet")


def rivals(p, inputs, folder: Path, dataset: str, network: str) -> None:
    """Freeze, of the clips of `search`, what other attributions point at, as long as the mask."""
    from vidlib.compare.truth import removes_class
    from vidlib.data.clips import load_clips
    from vidlib.explain import attribution
    from vidlib.explain.perturb import freeze, perturb
    from vidlib.explain.scores import score_clips
    from vidlib.models.store import best_device, load_network
    from vidlib.rendered.truth import Truth

    with np.load(inputs[f"search-{network}"] / "landscapes.npz") as arrays:
        positions = arrays["clips"]
    explained = load_clips(inputs["prepare"]).split("validation")
    chosen = explained.subset(chosen_clips(p, explained.index)).subset(positions)
    net = load_network(inputs[f"train-{network}"]).to(best_device())
    rendered = DATASETS[dataset].rendered
    truth, judge = (Truth(inputs["files"]), observer_of(dataset)) if rendered else (None, None)
    x, _ = chosen.batch()
    scores = score_clips(net, x)
    guess = scores.argmax(1, keepdim=True)
    others = {
        "occlusion": attribution.occlusion,
        "integrated gradients": functools.partial(attribution.integrated_gradients, steps=32),
        "random masks": functools.partial(attribution.random_masks, masks=64, seed=p.seed),
        "best crop": functools.partial(attribution.discriminative_crop, shortest=x.shape[2] // 4),
    }
    shown = []  # how many clips in each pass through the network
    net.register_forward_pre_hook(lambda _, args: shown.append(len(args[0])))
    learned = masks_by(p, net, x).mask > 0.5
    masks, passes = {"temporal mask": learned.to(x)}, {"temporal mask": sum(shown) / len(x)}
    for name, attribute in others.items():
        print(f"{name} of {len(x)} clips", flush=True)
        shown.clear()
        masks[name] = attribution.window_of(attribute(net, x), learned.sum(1))
        passes[name] = sum(shown) / len(x)
    rows = []
    for name, of_way in masks.items():
        frozen = score_clips(net, perturb(x, freeze(of_way))).gather(1, guess)
        row = {
            "clip_id": chosen.index["clip_id"],
            "method": name,
            "length": of_way.sum(1).int().numpy(),
            "drop": (scores.gather(1, guess) - frozen)[:, 0].numpy(),
            "passes": passes[name],
        }
        if rendered:
            row["removes"] = [
                removes_class(truth.scene(clip_id), label, one.numpy(), judge)
                for clip_id, label, one in zip(
                    chosen.index["clip_id"], chosen.index["label"], of_way, strict=True
                )
            ]
        rows.append(pd.DataFrame(row))
    pd.concat(rows, ignore_index=True).to_parquet(folder / "rivals.parquet")


def compare(p, inputs, folder: Path) -> None:
    """Put both networks side by side: Tables 1 and 2, and the classes on which they are alike."""
    from vidlib.compare.explanations import table_2
    from vidlib.compare.networks import comparable_classes, network_differences

    found: dict[str, list[pd.DataFrame]] = {"table_1": [], "drops": [], "table_2": []}
    guesses = []
    for network in STUDIED:
        evaluated = inputs[f"evaluate-{network}"]
        for name, table in (("table_1", "summary"), ("drops", "drops")):
            found[name].append(pd.read_parquet(evaluated / f"{table}.parquet"))
        guesses.append(pd.read_parquet(evaluated / "guesses.parquet"))
        clips = pd.read_parquet(inputs[f"explain-{network}"] / "clips.parquet")
        found["table_2"].append(table_2(clips))
    for name, tables in found.items():
        tables = [table.assign(network=n) for table, n in zip(tables, STUDIED, strict=True)]
        pd.concat(tables, ignore_index=True).to_parquet(folder / f"{name}.parquet")
    named = pd.read_parquet(evaluated / "per_class.parquet").drop_duplicates("label")
    names = dict(zip(named["label"], named["label_name"], strict=True))
    network_differences(*guesses, seed=p.seed).to_parquet(folder / "differences.parquet")
    comparable = comparable_classes(*guesses, names, seed=p.seed)
    comparable.to_parquet(folder / "comparable.parquet")


@dataclass(frozen=True)
class Stage:
    """One step of the study.

    fields: those of the profile that it uses; it sees no others. upstream: stages whose results it
    reads; "files" is the data set itself, rendered or the original. modules: vidlib modules it uses
    beside those that its code imports. helpers: functions that it calls without importing them.
    control: whether it is of a control, which nothing else waits for. together: whether all
    processes of a run make it, of which the first one's results count; others, the first makes.
    """

    run: Callable
    fields: tuple[str, ...]
    upstream: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    helpers: tuple[Callable, ...] = ()
    control: bool = False
    together: bool = False


def stages_of(dataset: str) -> dict[str, Stage]:
    """Return the stages of a data set's study by name, each after those that it needs."""
    one, stages = DATASETS[dataset], {}
    if one.rendered:
        fields = ("train_clips", "validation_clips", "seed")
        stages["render"] = Stage(
            functools.partial(render, dataset=dataset),
            (*fields, "render_size") if one.sized else fields,
            modules=(module_of(one.renderer),),
            helpers=(render_dataset, function_of),
        )
    stages["prepare"] = Stage(
        functools.partial(prepare, dataset=dataset),
        ("frames", "size"),
        ("files",),
        (module_of(one.reader),),
        (read_index, function_of),
    )
    judges = (module_of(one.observer),) if one.rendered else ()
    if one.rendered:
        stages["observe"] = Stage(
            functools.partial(observe, dataset=dataset),
            ("frames",),
            ("files", "prepare"),
            judges,
            (observer_of, function_of),
        )
    if one.mirrored:
        fields = ("gate_epochs", "gate_batch_size", "gate_lr", "seed")
        stages["leakage"] = Stage(leakage, fields, ("prepare",))
    if one.planted:
        fields = ("cue_epochs", "gate_batch_size", "gate_lr", "seed")
        stages["intervene"] = Stage(intervene, fields, ("files", "prepare"))
    chosen = ("mask_l1", "mask_tv", "explained_clips", "seed")
    for name, variant in VARIANTS.items():
        control = bool(variant.differs)
        stages[f"train-{name}"] = Stage(
            functools.partial(train, network=name),
            (
                *variant.fields,
                *(f"{variant.family}_{name}" for name in RECIPE),
                *("momentum", "batch_size", "seed"),
            ),
            ("prepare",),
            variant.modules,
            (variant.arguments, *variant.helpers),
            control,
            together=True,
        )
        trained = ("prepare", f"train-{name}")
        stages[f"evaluate-{name}"] = Stage(
            functools.partial(evaluate, network=name), ("seed",), trained, control=control
        )
        stages[f"explain-{name}"] = Stage(
            functools.partial(explain, dataset=dataset, network=name),
            (*chosen, "mask_method", "mask_iterations", "mask_lr"),
            ("files", *trained),
            judges,
            (chosen_clips, masks_by, in_parts, observer_of, function_of),
            control,
        )
        if not control:
            stages[f"search-{name}"] = Stage(
                functools.partial(search, network=name),
                (*chosen, "mask_iterations", "searched_clips"),
                trained,
                (),
                (chosen_clips, in_parts),
            )
            stages[f"rivals-{name}"] = Stage(
                functools.partial(rivals, dataset=dataset, network=name),
                (*chosen, "mask_method", "mask_iterations", "mask_lr"),
                ("files", *trained, f"search-{name}"),
                judges,
                (chosen_clips, masks_by, observer_of, function_of),
            )
    seen = tuple(f"{stage}-{name}" for stage in ("evaluate", "explain") for name in STUDIED)
    stages["compare"] = Stage(compare, ("seed",), seen)
    return stages
