"""Figures of what a network can tell: Table 1, its classes, fewer frames, and time's arrow."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vidlib.compare.accuracy import MEASURES
from vidlib.compare.arrow import arrow_table
from vidlib.show.chart import Chart, chart
from vidlib.show.figures import short
from vidlib.show.sentences import estimate
from vidlib.show.truth_figures import shares_chart

MEASURE_TITLES = {"top1": "top-1", "f1": "F1", "top5": "top-5", "f1_top5": "top-5 F1"}
MOST_CLASSES = 24  # in one chart


def table_1(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the measures of Table 1 with their intervals in words; those that are not there, not.

    summary: a row per direction, or more, with measures as `vidlib.compare.summary` names them.
    """
    words = {
        MEASURE_TITLES[m]: [
            estimate(*row, form=".2f") for row in summary[[m, f"{m}_low", f"{m}_high"]].to_numpy()
        ]
        for m in MEASURES
        if summary[m].notna().any()
    }
    return pd.DataFrame(words, index=summary.index)


def class_drops_chart(drops: pd.DataFrame, title: str) -> Chart:
    """Return the F1 of each class forwards and reversed, those that lose most first.

    drops: as `vidlib.compare.class_drops` returns it. Of more than `MOST_CLASSES` classes, those
    that lose most and those that lose least.
    """
    drops = drops.sort_values("drop", ascending=False, kind="stable")
    shown = drops
    if len(drops) > MOST_CLASSES:
        shown = pd.concat([drops[: MOST_CLASSES // 2], drops[-(MOST_CLASSES // 2) :]])
    names = shown["label_name"].map(short)
    fig = go.Figure()
    lines = np.column_stack([shown["forward"], shown["reversed"], np.full(len(shown), np.nan)])
    fig.add_scatter(
        x=lines.ravel(), y=np.repeat(names, 3), mode="lines", line={"color": "gray", "width": 1},
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    for direction, symbol in (("forward", "circle"), ("reversed", "diamond")):
        values = shown[direction]
        fig.add_scatter(
            name=direction,
            x=values,
            y=names,
            mode="markers",
            marker={"size": 9, "symbol": symbol},
            error_x={
                "array": shown[f"{direction}_high"] - values,
                "arrayminus": values - shown[f"{direction}_low"],
                "thickness": 1,
            },
        )
    fig.update_xaxes(title_text="F1", range=[-0.03, 1.03])
    fig.update_yaxes(autorange="reversed")
    fig.update_layout(height=140 + 24 * len(shown))
    said = [
        f"{short(r.label_name)} {r.forward:.2f} to {r.reversed:.2f}" for r in shown.itertuples()
    ]
    left_out = len(drops) - len(shown)
    note = f" {left_out} classes between are not shown." if left_out else ""
    return chart(fig, alt=f"F1 of {title} by class, forward to reversed: {'; '.join(said)}.{note}")


def distinct_chart(tables: dict[str, pd.DataFrame]) -> Chart:
    """Return top-1 by number of distinct frames, with intervals, a line per network.

    tables: by the network's title, as `vidlib.compare.distinct_table` returns them, of one set of
    clips; at least one. A line says what always naming the commonest class scores.
    """
    fig = go.Figure()
    said = []
    for title, table in tables.items():
        fig.add_scatter(
            name=title,
            x=table["frames"],
            y=table["top1"],
            mode="lines+markers",
            error_y={
                "array": table["top1_high"] - table["top1"],
                "arrayminus": table["top1"] - table["top1_low"],
            },
        )
        counts = [f"{row.frames}: {row.top1:.0%}" for row in table.itertuples()]
        said.append(f"{title}, {', '.join(counts)}")
    chance = table["chance"].iloc[0]
    fig.add_hline(y=chance, line_dash="dot", line_color="gray")
    frames = sorted({count for table in tables.values() for count in table["frames"]})
    fig.update_xaxes(type="log", tickvals=frames, ticktext=frames, title_text="distinct frames")
    fig.update_yaxes(title_text="top-1", range=[-0.02, 1.02], tickformat=".0%")
    fig.update_layout(height=320)
    return chart(
        fig, alt=f"Top-1 by distinct frames. {'; '.join(said)}. Commonest class {chance:.0%}."
    )


def arrow_chart(clips: pd.DataFrame) -> Chart:
    """Return how often clips and reversed copies are told apart, with and without training.

    clips: as `vidlib.compare.arrow_of_time` returns them. Classes that come in mirrored pairs are
    shown apart, where there are any.
    """
    from vidlib.compare.leakage import PAIRS  # it can train, so it takes long to import

    mirrored = clips["label"].isin([label for pair in PAIRS for label in pair])
    groups = {"all classes": clips}
    if mirrored.any() and not mirrored.all():
        groups |= {"mirrored pairs": clips[mirrored], "other classes": clips[~mirrored]}
    table = pd.concat([arrow_table(some).assign(classes=name) for name, some in groups.items()])
    axis = "clips and copies told apart"
    return shares_chart(table, x="classes", by="features", axis=axis, chance=0.5)
