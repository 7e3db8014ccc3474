"""Table 1: how well a network tells the classes apart, forwards and with its frames reversed."""

import pandas as pd
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

DIRECTIONS = ("forward", "reversed")


def summary(scores: Tensor, outputs: Tensor) -> dict[str, float]:
    """Return top1, top5 and macro-averaged f1, in [0, 1].

    scores: (N, K) class scores. outputs: (N,) int64 true classes. With fewer than five classes,
    top5 counts them all.
    """
    classes = scores.shape[1]
    kwargs = {"num_classes": classes, "average": "micro"}
    return {
        "top1": multiclass_accuracy(scores, outputs, **kwargs).item(),
        "top5": multiclass_accuracy(scores, outputs, top_k=min(5, classes), **kwargs).item(),
        "f1": multiclass_f1_score(scores, outputs, classes, average="macro").item(),
    }


def per_class(
    scores: dict[str, Tensor], outputs: Tensor, classes: list[int], names: dict[int, str]
) -> pd.DataFrame:
    """Return a row per class and direction.

    scores: by direction, (N, K). Columns: label, label_name, direction, clips, top1, f1,
    turns_into (the label most often guessed for the class's clips) and turns_into_share.
    """
    rows = []
    for direction, values in scores.items():
        f1 = multiclass_f1_score(values, outputs, len(classes), average="none")
        guesses = values.argmax(1)
        for k, label in enumerate(classes):
            mine = guesses[outputs == k]
            counts = torch.bincount(mine, minlength=len(classes)).float() / max(1, len(mine))
            rows.append(
                {
                    "label": label,
                    "label_name": names[label],
                    "direction": direction,
                    "clips": len(mine),
                    "top1": counts[k].item(),
                    "f1": f1[k].item(),
                    "turns_into": classes[int(counts.argmax())],
                    "turns_into_share": counts.max().item(),
                }
            )
    return pd.DataFrame(rows)
