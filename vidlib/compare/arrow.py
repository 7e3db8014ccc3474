"""The arrow of time: does what a network computes of a clip tell which way the clip is played?

After Ghodrati et al. 2018, "Video time": a linear probe is asked to tell clips from their reversed
copies by the features that enter the network's last layer. What is there can be read by that layer;
whether it is of use to it is another question. Classes that mirror each other set a bound: a
reversed clip of one looks like a clip of the other, and no network can know better.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from scipy.stats import beta
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from vidlib.compare.bootstrap import LEVEL
from vidlib.data.clips import Clips, stream_clips, to_network
from vidlib.explain.scores import score_clips

PROBED = 100  # clips of each split: forward and reversed, so twice as many examples
STRENGTHS = np.logspace(-4, 2, 7)  # inverse, of the L2 penalty; cross-validation chooses


@contextmanager
def entering_last_layer(network: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that receives what enters the network's last layer, flattened, (B, F) per call.

    The last layer is the last child that has parameters. On leaving, even by an exception, the
    network is as it was.
    """
    layers = [child for child in network.children() if any(True for _ in child.parameters())]
    seen: list[Tensor] = []
    hook = layers[-1].register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].detach().flatten(1).cpu())
    )
    try:
        yield seen
    finally:
        hook.remove()


def direction_features(network: nn.Module, clips: Clips) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of some clips forward and reversed, (N, 2, F), and their positions, (N,).

    The network runs in eval mode and is left as found. Clips that cannot be read are left out.
    """
    features, positions = [], []
    for batch in stream_clips(clips, 64):
        x = to_network(batch.frames)
        both = []
        for way in (x, x.flip(2)):
            with entering_last_layer(network) as seen:
                score_clips(network, way)
            both.append(torch.cat(seen))
        features.append(torch.stack(both, 1))
        positions.append(batch.positions)
    return torch.cat(features).double().numpy(), torch.cat(positions).numpy()


def untrained(network: nn.Module, seed: int) -> nn.Module:
    """Return a copy of a network with PyTorch's initial random weights in place of its own."""
    fresh = copy.deepcopy(network)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in fresh.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return fresh


def probe(
    train: np.ndarray, validation: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Return whether a linear probe is right about each validation clip and its reversed copy.

    train, validation: features, (N, 2, F) and (M, 2, F), forward and reversed; N at least 2.
    groups: (N,), what the training clips are of, such as people; each its own by default.
    Returns (M, 2) bool. The probe is a logistic regression on standardised features; its L2 penalty
    is chosen by cross-validation within the training clips, in which the copies of all clips of a
    group stay together, where there are two groups at least. Raises ValueError for fewer than two
    training clips.
    """
    clips, _, size = train.shape
    if clips < 2:
        raise ValueError(f"the probe has {clips} training clips: give it at least 2")
    if groups is None or len(set(groups)) < 2:
        groups = np.arange(clips)
    examples, answers = train.reshape(-1, size), np.tile([0, 1], clips)
    scaler = StandardScaler().fit(examples)
    x, z = scaler.transform(examples), scaler.transform(validation.reshape(-1, size))
    # Penalised weights lie in the span of the examples, which are fewer than the features.
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
    said = model.fit(x @ axes, answers).predict(z @ axes)
    return said.reshape(-1, 2) == [0, 1]


def arrow_of_time(
    network: nn.Module, train: Clips, validation: Clips, *, seed: int
) -> pd.DataFrame:
    """Ask whether a network's features tell a clip's direction: a row per probed validation clip.

    `PROBED` clips of each split are drawn by the seed. Columns: clip_id, label, label_name, and how
    many of the clip and its reversed copy, as a share (0, 0.5, 1), a probe is right about that is
    given the features of the network (trained) and of one with random weights (untrained): what
    architecture alone, and the average of frames, give away.
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
    interval, as if a clip and its reversed copy were one trial, for what the probe says of the one
    depends on what it says of the other. By chance the share is 0.5.
    """
    rows = []
    for name in ("trained", "untrained"):
        count, right = len(clips), clips[name].sum()  # halves, too, so the beta's own quantiles
        low = beta.ppf((1 - LEVEL) / 2, right, count - right + 1) if right else 0.0
        high = beta.ppf((1 + LEVEL) / 2, right + 1, count - right) if right < count else 1.0
        rows.append((name, count, clips[name].mean(), low, high))
    return pd.DataFrame(rows, columns=["features", "clips", "share", "low", "high"])
