"""Figures of how well a network classifies: learning, Table 1, classes, fewer frames, direction."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vidlib.compare.accuracy import MEASURES
from vidlib.compare.arrow import arrow_table
from vidlib.show.chart import COLOURS, DOTTED, Chart, chart, panels, whiskers
from vidlib.show.names import short
from vidlib.show.sentences import estimate

MEASURE_TITLES = {"top1": "top-1", "f1": "F1", "top5": "top-5", "f1_top5": "top-5 F1"}
MOST_CLASSES = 24  # in one chart
SYMBOLS = ("circle", "square", "diamond", "cross")  # for readers who do not see the colours


def learning_curves(history: pd.DataFrame, title: str) -> Chart:
    """Return loss and accuracy on both splits by epoch.

    history: a row per epoch, with epoch (from 0), train_loss, train_accuracy, validation_loss and
    validation_accuracy.

    >>> epoch = {"epoch": 0, "train_loss": 1.5, "validation_loss": 1.4}
    >>> epoch |= {"train_accuracy": 0.2, "validation_accuracy": 0.3}
    >>> learning_curves(pd.DataFrame([epoch]), "I3D").alt
    'Learning curves of I3D. After 1 epochs the accuracy is 20% in training, 30% in validation.'
    """
    fig = panels(("loss (nats)", "accuracy"))
    for colour, split in zip(COLOURS, ("train", "validation"), strict=False):
        line = {"color": colour, "dash": "solid" if split == "train" else "dot"}
        for column, what in enumerate(("loss", "accuracy"), 1):
            curve = {"x": history["epoch"] + 1, "y": history[f"{split}_{what}"], "line": line}
            legend = {"name": split, "legendgroup": split, "showlegend": column == 1}
            fig.add_scatter(**curve, **legend, mode="lines+markers", row=1, col=column)
    fig.update_xaxes(title_text="epoch")
    fig.update_yaxes(range=[0, 1], row=1, col=2)
    last = history.iloc[-1]
    alt = (
        f"Learning curves of {title}. After {len(history)} epochs the accuracy is "
        f"{last['train_accuracy']:.0%} in training, {last['validation_accuracy']:.0%} in "
        "validation."
    )
    return chart(fig, alt=alt)


def table_1(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the measures of Table 1 with their intervals in words, without unknown measures.

    summary: one or more rows, with measures as `vidlib.compare.summary` names them.

    >>> columns = [f"{m}{end}" for m in MEASURES for end in ("", "_low", "_high")]
    >>> table_1(pd.DataFrame([[0.5, 0.4, 0.6] * len(MEASURES)], columns=columns)).loc[0, "top-1"]
    '0.50 (0.40 to 0.60)'
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
    """Return the F1 of each class forwards and reversed, sorted by loss.

    drops: as `vidlib.compare.class_drops` returns it. Of more than `MOST_CLASSES` classes, the
    chart shows those that lose most and those that lose least.

    >>> one = {"label_name": "Boxing", "drop": 0.5, "forward": 0.8, "reversed": 0.3}
    >>> one |= {"forward_low": 0.7, "forward_high": 0.9, "reversed_low": 0.2, "reversed_high": 0.4}
    >>> class_drops_chart(pd.DataFrame([one]), "I3D").alt
    'F1 of I3D by class, forward to reversed: Boxing 0.80 to 0.30.'
    """
    drops = drops.sort_values("drop", ascending=False, kind="stable")
    left_out = max(len(drops) - MOST_CLASSES, 0)
    half = MOST_CLASSES // 2
    shown = pd.concat([drops[:half], drops[-half:]]) if left_out else drops
    names = shown["label_name"].map(short)
    fig = go.Figure()
    lines = np.column_stack([shown["forward"], shown["reversed"], np.full(len(shown), np.nan)])
    fig.add_scatter(
        x=lines.ravel(), y=np.repeat(names, 3), mode="lines", line={"color": "gray", "width": 1},
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    for way, symbol in (("forward", "circle"), ("reversed", "diamond")):
        ends = whiskers(shown[way], shown[f"{way}_low"], shown[f"{way}_high"])
        dots = {"mode": "markers", "marker": {"size": 9, "symbol": symbol}}
        fig.add_scatter(name=way, x=shown[way], y=names, **dots, error_x={**ends, "thickness": 1})
    fig.update_xaxes(title_text="F1", range=[-0.03, 1.03])
    fig.update_yaxes(autorange="reversed")
    fig.update_layout(height=140 + 24 * len(shown))
    said = [
        f"{name} {row.forward:.2f} to {row.reversed:.2f}"
        for name, row in zip(names, shown.itertuples(), strict=True)
    ]
    note = f" {left_out} classes between are not shown." if left_out else ""
    return chart(fig, alt=f"F1 of {title} by class, forward to reversed: {'; '.join(said)}.{note}")


def confusion(guesses: pd.DataFrame, names: dict[int, str], title: str) -> Chart:
    """Return confusion matrices, forwards and reversed, as shares of each true class.

    guesses: a row per clip with label, forward and reversed (official class numbers). names: of
    the classes, by number.

    >>> guesses = pd.DataFrame({"label": [1, 2], "forward": [1, 2], "reversed": [1, 1]})
    >>> [len(matrix["x"]) for matrix in confusion(guesses, {1: "a", 2: "b"}, "I3D").figure["data"]]
    [2, 2]
    """
    labels = sorted(names)
    axis = [short(names[label]) for label in labels]
    fig = panels(("forward", "frames reversed"), shared_yaxes=True, horizontal_spacing=0.03)
    for column, direction in enumerate(("forward", "reversed"), 1):
        counts = pd.crosstab(guesses["label"], guesses[direction], normalize="index")
        shares = counts.reindex(index=labels, columns=labels, fill_value=0).to_numpy()
        cells = {"z": shares, "x": axis, "y": axis, "zmin": 0, "zmax": 1, "colorscale": "Blues"}
        hover = "%{y}<br>taken for %{x}<br>%{z:.0%}<extra></extra>"
        last = column == 2
        fig.add_heatmap(**cells, showscale=last, hovertemplate=hover, row=1, col=column)
    fig.update_yaxes(autorange="reversed")
    fig.update_xaxes(tickangle=-60)
    fig.update_layout(height=640)
    return chart(fig, alt=f"Confusion matrices of {title}, for clips forwards and reversed.")


def reversal_table(per_class: pd.DataFrame) -> pd.DataFrame:
    """Return what reversal does to each class, lowest top-1 on reversed clips first.

    per_class: as `vidlib.compare.per_class` returns it. Columns: class, top-1, top-1 reversed,
    reversed (the class that reversed clips are most often taken for), how often.

    >>> row = {"label": 1, "label_name": "Boxing", "top1": 0.9, "turns_into": 1}
    >>> rows = [row | {"direction": way} for way in ("forward", "reversed")]
    >>> table = reversal_table(pd.DataFrame(rows).assign(turns_into_share=0.9))
    >>> table["reversed, most often taken for"].tolist()
    ['Boxing']
    """
    rows = per_class.set_index("label")
    forward, backward = (rows[rows["direction"] == way] for way in ("forward", "reversed"))
    names = forward["label_name"].map(short)
    table = pd.DataFrame(
        {
            "class": names,
            "top-1": forward["top1"],
            "top-1 reversed": backward["top1"],
            "reversed, most often taken for": backward["turns_into"].map(names),
            "how often": backward["turns_into_share"],
        }
    )
    return table.sort_values("top-1 reversed", kind="stable")


def distinct_chart(tables: dict[str, pd.DataFrame]) -> Chart:
    """Return top-1 by number of distinct frames, with intervals, a line per network.

    tables: by the network's title, at least one, as `vidlib.compare.distinct_table` returns them
    for one set of clips. A dotted line shows the score of always naming the commonest class.

    >>> row = {"frames": 1, "top1": 0.5, "top1_low": 0.4, "top1_high": 0.6, "chance": 0.25}
    >>> distinct_chart({"I3D": pd.DataFrame([row])}).alt
    'Top-1 by distinct frames. I3D, 1: 50%. Commonest class 25%.'
    """
    fig = go.Figure()
    said = []
    for title, table in tables.items():
        ends = whiskers(table["top1"], table["top1_low"], table["top1_high"])
        line = {"x": table["frames"], "y": table["top1"], "mode": "lines+markers"}
        fig.add_scatter(name=title, **line, error_y=ends)
        counts = [f"{row.frames}: {row.top1:.0%}" for row in table.itertuples()]
        said.append(f"{title}, {', '.join(counts)}")
    chance = table["chance"].iloc[0]
    fig.add_hline(y=chance, **DOTTED)
    frames = sorted({count for table in tables.values() for count in table["frames"]})
    fig.update_xaxes(type="log", tickvals=frames, ticktext=frames, title_text="distinct frames")
    fig.update_yaxes(title_text="top-1", range=[-0.02, 1.02], tickformat=".0%")
    fig.update_layout(height=320)
    alt = f"Top-1 by distinct frames. {'; '.join(said)}. Commonest class {chance:.0%}."
    return chart(fig, alt=alt)


def arrow_chart(clips: pd.DataFrame) -> Chart:
    """Return how often clips and reversed copies are told apart, with and without training.

    clips: as `vidlib.compare.arrow_of_time` returns them. Classes that form mirrored pairs, if
    there are any, are shown separately.

    >>> clips = pd.DataFrame({"label": [1, 1], "trained": [1.0, 1.0], "untrained": [0.0, 1.0]})
    >>> "trained, all classes: 100%" in arrow_chart(clips).alt
    True
    """
    from vidlib.compare.leakage import PAIRS  # it can train, so it takes long to import

    mirrored = clips["label"].isin([label for pair in PAIRS for label in pair])
    groups = {"all classes": clips}
    if mirrored.any() and not mirrored.all():
        groups |= {"mirrored pairs": clips[mirrored], "other classes": clips[~mirrored]}
    table = pd.concat([arrow_table(some).assign(classes=name) for name, some in groups.items()])
    axis = "clips and copies told apart"
    return shares_chart(table, x="classes", by="features", axis=axis, chance=0.5)


def shares_chart(table: pd.DataFrame, *, x: str, by: str, axis: str, chance: float | None) -> Chart:
    """Return shares with their intervals as points, grouped, and the share expected by chance.

    table: a row per point, with share, low, high (in [0, 1]) and the columns x (along the axis) and
    by (the group). axis: the title of the axis of shares.

    >>> row = {"share": 0.7, "low": 0.6, "high": 0.8, "pair": "up, down", "who": "I3D"}
    >>> shares_chart(pd.DataFrame([row]), x="pair", by="who", axis="right", chance=0.5).alt
    'Share: right. I3D, up, down: 70%. By chance 50%.'
    """
    fig = go.Figure(layout={"scattermode": "group", "scattergap": 0.6})  # side by side
    for symbol, (name, rows) in zip(SYMBOLS, table.groupby(by, sort=False), strict=False):
        ends = whiskers(rows["share"], rows["low"], rows["high"])
        dots = {"mode": "markers", "marker": {"size": 9, "symbol": symbol}, "error_y": ends}
        fig.add_scatter(name=name, x=rows[x], y=rows["share"], **dots)
    by_chance = ""
    if chance is not None:
        fig.add_hline(y=chance, **DOTTED)
        by_chance = f" By chance {chance:.0%}."
    fig.update_xaxes(type="category")
    fig.update_yaxes(title_text=axis, range=[-0.02, 1.02], tickformat=".0%")
    said = [f"{getattr(r, by)}, {getattr(r, x)}: {r.share:.0%}" for r in table.itertuples()]
    return chart(fig, alt=f"Share: {axis}. {'; '.join(said)}.{by_chance}")
