"""The arrow of time: do a network's features tell which way a clip is played?

After Ghodrati et al. 2018, "Video time": a linear probe learns to tell clips from their reversed
copies by the features that enter the network's last layer. What the probe finds, that layer could
read; whether it uses it is another question. Mirrored classes set a bound: a reversed clip of one
looks like a clip of the other, so no network can tell them apart.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vidlib.compare.clips import over_batches
from vidlib.compare.intervals import exact_interval
from vidlib.data.clips import Clips
from vidlib.explain.scores import score_clips

PROBED = 100  # clips of each split; forward and reversed, twice as many examples
STRENGTHS = np.logspace(-4, 2, 7)  # inverse L2 penalties for cross-validation


@contextmanager
def entering_last_layer(network: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that collects the input of the network's last layer, flattened, (B, F) per call.

    The last layer is the last child with parameters. On leaving, even by an exception, the network
    is as it was.
    """
    layers = [child for child in network.children() if any(True for _ in child.parameters())]
    seen: list[Tensor] = []

    def collect(_, inputs: tuple) -> None:
        seen.append(inputs[0].detach().flatten(1).cpu())

    with layers[-1].register_forward_pre_hook(collect):
        yield seen


def direction_features(network: nn.Module, clips: Clips) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of some clips forward and reversed, (N, 2, F), and their positions, (N,).

    The network runs in eval mode and is left as found. Clips that cannot be read are left out.
    """

    def both(x: Tensor) -> Tensor:
        with entering_last_layer(network) as seen:
            score_clips(network, x)
            score_clips(network, x.flip(2))
        return torch.cat(seen).unflatten(0, (2, len(x))).movedim(0, 1)

    features, positions = over_batches(clips, both)
    return features.double().numpy(), positions


def untrained(network: nn.Module, seed: int) -> nn.Module:
    """Return a copy of a network with PyTorch's initial random weights."""
    fresh = copy.deepcopy(network)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in fresh.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return fresh


def probe(
    train: np.ndarray, validation: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Return whether a linear probe is right about each validation clip and its reversed copy.

    train, validation: features, (N, 2, F) and (M, 2, F), forward and reversed; N at least 2.
    groups: (N,), the training clips' groups, such as people; by default each clip is its own.
    Returns (M, 2) bool. The probe is a logistic regression on standardised features. Its L2 penalty
    is chosen by cross-validation within the training clips; if there are at least two groups, all
    copies of the clips of a group stay together. Raises ValueError for fewer than two training
    clips.

    >>> features = np.array([[[0.0], [1.0]]] * 4)  # one feature: 0 forward, 1 reversed
    >>> probe(features, features[:1]).tolist()
    [[True, True]]
    """
    # Here, as importing them takes longer than most stages.
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import GroupKFold
    from sklearn.preprocessing import StandardScaler

    clips, _, size = train.shape
    if clips < 2:
        raise ValueError(f"the probe has {clips} training clips: give it at least 2")
    if groups is None or len(set(groups)) < 2:
        groups = np.arange(clips)
    examples, answers = train.reshape(-1, size), np.tile([0, 1], clips)
    scaler = StandardScaler().fit(examples)
    x, z = scaler.transform(examples), scaler.transform(validation.reshape(-1, size))
    # Penalised weights are in the span of the examples, which are fewer than the features.
    _, lengths, axes = np.linalg.svd(x, full_matrices=False)
    axes = axes[: max(1, (lengths > 1e-10 * lengths[0]).sum())].T
    model = LogisticRegressionCV(
        Cs=STRENGTHS,
        l1_ratios=(0,),
        cv=GroupKFold(min(5, len(set(groups)))).split(x, groups=np.repeat(groups, 2)),
        scoring="neg_log_loss",
        max_iter=1000,
        use_legacy_attributes=False,
    )
    return model.fit(x @ axes, answers).predict(z @ axes).reshape(-1, 2) == [0, 1]


def arrow_of_time(
    network: nn.Module, train: Clips, validation: Clips, *, seed: int
) -> pd.DataFrame:
    """Ask whether a network's features tell a clip's direction: a row per probed validation clip.

    `PROBED` clips of each split are drawn by the seed. Columns: clip_id, label, label_name, and the
    share (0, 0.5 or 1) of the clip and its reversed copy about which a probe is right, by the
    features of the network (trained) and of one with random weights (untrained), which shows what
    the architecture alone gives away.

    >>> from vidlib.data.clips import Frames
    >>> frames = np.random.default_rng(0).integers(0, 256, (8, 4, 8, 8, 3), dtype=np.uint8)
    >>> index = pd.DataFrame({"clip_id": list("abcdefgh"), "label": 1, "label_name": "up"})
    >>> index["group"] = None
    >>> clips = Clips(index, Frames(frames.__getitem__, np.arange(8), frames.shape[1:]), [1])
    >>> network = nn.Sequential(nn.AdaptiveAvgPool3d((4, 1, 1)), nn.Flatten(), nn.Linear(12, 2))
    >>> list(arrow_of_time(network, clips, clips, seed=0))
    ['clip_id', 'label', 'label_name', 'trained', 'untrained']
    """
    rng = np.random.default_rng(seed)
    some = [
        clips.subset(np.sort(rng.permutation(len(clips))[:PROBED])) for clips in (train, validation)
    ]
    table = None
    for name, one in (("trained", network), ("untrained", untrained(network, seed))):
        (learned, places), (judged, positions) = (direction_features(one, clips) for clips in some)
        seen = some[0].subset(places).index
        groups = seen["group"].where(seen["group"].notna(), seen["clip_id"]).to_numpy()
        if table is None:
            table = some[1].subset(positions).index[["clip_id", "label", "label_name"]].copy()
        table[name] = probe(learned, judged, groups).mean(1)
    return table


def arrow_table(clips: pd.DataFrame) -> pd.DataFrame:
    """Return how often the probes of `arrow_of_time` are right: a row for each of the two.

    Columns: features ("trained", "untrained"), clips, share, low and high: the exact binomial 95 %
    interval. A clip and its reversed copy count as one trial, as what the probe says of one depends
    on what it says of the other. By chance the share is 0.5.

    >>> clips = pd.DataFrame({"trained": [1.0, 1.0], "untrained": [0.5, 0.5]})
    >>> arrow_table(clips)["share"].tolist()
    [1.0, 0.5]
    """
    rows = [
        (name, len(clips), clips[name].mean(), *exact_interval(clips[name].sum(), len(clips)))
        for name in ("trained", "untrained")
    ]
    return pd.DataFrame(rows, columns=["features", "clips", "share", "low", "high"])
