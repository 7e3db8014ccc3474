"""Make Grad-CAM maps and temporal masks; score the clips frozen and reversed by the masks."""

from pathlib import Path

import numpy as np
import pandas as pd

from vidlib.compare.against_truth import against_truth
from vidlib.compare.explanations import blob_statistics, score_drops
from vidlib.explain.gradcam import grad_cam
from vidlib.explain.perturb import perturb, reverse
from vidlib.explain.scores import score_clips
from vidlib.files import write_arrays, write_table
from vidlib.models.store import best_device, load_network
from vidlib.named import function_of
from vidlib.rendered.truth import Truth
from vidlib.stages.chosen import explained_clips, in_parts, masks_by


def run(p, inputs, folder: Path, *, network: str, observer: str = "", original: str = "") -> None:
    """Write clips.parquet and arrays.npz.

    observer: for rendered sets, the function "module:name" that judges masks by the truth.
    original: of an original data set, which.
    """
    chosen = explained_clips(p, inputs["prepare"], original)
    net = load_network(inputs[f"train-{network}"]).to(best_device())

    def make(rows: np.ndarray) -> dict[str, np.ndarray]:
        x, y = chosen.subset(rows).batch()
        found = masks_by(p, net, x)
        original = score_clips(net, x)
        turned = score_clips(net, perturb(x, reverse(found.mask)))
        return {
            "saliency": np.round(255 * grad_cam(net, x).numpy()).astype(np.uint8),
            "mask": found.mask.numpy(),
            "start": np.asarray(found.start),
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
    table["guess"] = np.array(chosen.classes)[table["guess"]]
    table["start_length"] = starts.sum(1)
    table["mask_length"] = (masks > 0.5).sum(1)
    table["mask_sum"] = masks.sum(1)
    table["mask_above_0.1"] = (masks > 0.1).sum(1)
    table = table.join(score_drops(table))
    table = table.join(pd.DataFrame([blob_statistics(maps / 255) for maps in saliency]))
    if observer:
        truth, judge = Truth(inputs["files"]), function_of(observer)
        table = table.join(against_truth(truth, judge, table["clip_id"], saliency, masks, starts))
    write_table(folder / "clips.parquet", table)
    write_arrays(folder / "arrays.npz", saliency=saliency, mask=masks, start=starts)
