"""Figures of how well networks classify: Table 1, shares with intervals."""

import pandas as pd
import plotly.graph_objects as go

from vidlib.compare.accuracy import MEASURES
from vidlib.show.chart import DOTTED, Chart, chart, whiskers
from vidlib.show.sentences import estimate

MEASURE_TITLES = {"top1": "top-1", "f1": "F1", "top5": "top-5", "f1_top5": "top-5 F1"}
SYMBOLS = ("circle", "square", "diamond", "cross")  # for readers who do not see the colours


def table_1(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the measures of Table 1 with their intervals in words, without unknown measures.

    summary: one or more rows, with measures as `vidlib.compare.summary` names them.

    >>> columns = [f"{m}{end}" for m in MEASURES for end in ("", "_low", "_high")]
    >>> table_1(pd.DataFrame([[0.5, 0.4, 0.6] * len(MEASURES)], columns=columns)).loc[0, "top-1"]
    '0.50 (0.40 to 0.60)'
    """
    words = {}
    for m in MEASURES:
        if summary[m].notna().any():
            rows = summary[[m, f"{m}_low", f"{m}_high"]].to_numpy()
            words[MEASURE_TITLES[m]] = [estimate(*row, form=".2f") for row in rows]
    return pd.DataFrame(words, index=summary.index)


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
    if chance is not None:
        fig.add_hline(y=chance, **DOTTED)
    fig.update_xaxes(type="category")
    fig.update_yaxes(title_text=axis, range=[-0.02, 1.02], tickformat=".0%")
    said = [f"{getattr(r, by)}, {getattr(r, x)}: {r.share:.0%}" for r in table.itertuples()]
    by_chance = "" if chance is None else f" By chance {chance:.0%}."
    return chart(fig, alt=f"Share: {axis}. {'; '.join(said)}.{by_chance}")
