"""Compare both networks: Tables 1 and 2, and the classes on which they are alike."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from vidlib.compare.explanations import table_2
from vidlib.compare.networks import comparable_classes, network_differences
from vidlib.files import write_table


def run(p, inputs, folder: Path, *, networks: Sequence[str]) -> None:
    """Write table_1, reversal_drops, table_2, differences and comparable as Parquet files."""

    def read(stage: str, name: str) -> list[pd.DataFrame]:
        return [pd.read_parquet(inputs[f"{stage}-{one}"] / f"{name}.parquet") for one in networks]

    def joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
        tables = [table.assign(network=n) for table, n in zip(tables, networks, strict=True)]
        return pd.concat(tables, ignore_index=True)

    first, second = read("evaluate", "guesses")
    named = read("evaluate", "per_class")[0].drop_duplicates("label")
    names = dict(zip(named["label"], named["label_name"], strict=True))
    tables = {
        "table_1": joined(read("evaluate", "summary")),
        "reversal_drops": joined(read("evaluate", "reversal_drops")),
        "table_2": joined([table_2(clips) for clips in read("explain", "clips")]),
        "differences": network_differences(first, second, seed=p.data_seed),
        "comparable": comparable_classes(first, second, names, seed=p.data_seed),
    }
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", table)
