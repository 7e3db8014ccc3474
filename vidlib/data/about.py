"""What the data sets are, in a few sentences each, for readers of the notebooks."""

from pathlib import Path

import yaml

TEXTS = Path(__file__).parent / "tables" / "about.yaml"
ABOUT = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))  # Markdown, by name of a data set
