"""What the paper reports, beside what is found here: Tables 1 and 2, its examples and settings.

`SETTINGS` are what its text and its public code say of each, in the code's files where it has
several, with the field of `vidlib.profiles.Profile` that sets it here, if one does.

`SEQUENCES` are the clips of its figures, by its own numbers (of KTH, the figure or appendix), with
the ids that the authors' companion page gives.

Numbers that are unreadable in the review copy come from the published version. The tables are CSV
files in the folder `tables`. `EXAMPLES` are OS, FS and RS of both networks on the 30 sequences of
Something-something that the paper shows (Fig. 2 and appendix A.2), in its order.
"""

from pathlib import Path

import pandas as pd

TABLES = Path(__file__).parent / "tables"
TABLE_1 = pd.read_csv(TABLES / "paper_table_1.csv")
TABLE_2 = pd.read_csv(TABLES / "paper_table_2.csv")
EXAMPLES = pd.read_csv(TABLES / "paper_examples.csv")
SEQUENCES = pd.read_csv(TABLES / "paper_sequences.csv", dtype={"sequence": str, "clip_id": str})
SETTINGS = pd.read_csv(TABLES / "paper_settings.csv", dtype=str, keep_default_na=False)
NUMBERS = dict(zip(SEQUENCES["clip_id"], SEQUENCES["sequence"], strict=True))
