"""Put both networks side by side: Tables 1 and 2, and the classes on which they are alike."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from vidlib.compare.explanations import table_2
from vidlib.compare.networks import comparable_classes, network_differences
from vidlib.files import write_table


def run(p, inputs, folder: Path, *, networks: Sequence[str]) -> None:
    """Write table_1, reversal_drops, table_2, differences and comparable as Parquet files."""
    found: dict[str, list[pd.DataFrame]] = {"table_1": [], "reversal_drops": [], "table_2": []}
    guesses = []
    for network in networks:
        evaluated = inputs[f"evaluate-{network}"]
        for name, table in (("table_1", "summary"), ("reversal_drops", "reversal_drops")):
            found[name].append(pd.read_parquet(evaluated / f"{table}.parquet"))
        guesses.append(pd.read_parquet(evaluated / "guesses.parquet"))
        clips = pd.read_parquet(inputs[f"explain-{network}"] / "clips.parquet")
        found["table_2"].append(table_2(clips))
    for name, tables in found.items():
        tables = [table.assign(network=n) for table, n in zip(tables, networks, strict=True)]
        write_table(folder / f"{name}.parquet", pd.concat(tables, ignore_index=True))
    named = pd.read_parquet(evaluated / "per_class.parquet").drop_duplicates("label")
    names = dict(zip(named["label"], named["label_name"], strict=True))
    differences = network_differences(*guesses, seed=p.data_seed)
    write_table(folder / "differences.parquet", differences)
    comparable = comparable_classes(*guesses, names, seed=p.data_seed)
    write_table(folder / "comparable.parquet", comparable)
