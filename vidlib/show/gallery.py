"""The gallery: explained clips of every class, to be filtered by class, answers and mask length.

Each clip is a card with its player. ``gallery.js`` makes a player, and so loads its sprite sheet,
when its card comes near the visible part of the page.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from vidlib.show.figures import TITLES, explanation_player
from vidlib.show.player import Player
from vidlib.show.sprites import script_module, sheet_address

EACH = 2  # clips of a class, as in the paper's appendix A.2


@dataclass(frozen=True)
class Card:
    """One clip of a gallery: what it is filtered by, and the player that shows it.

    label: the class's name. answers: by a network's title, whether its guess is right and in how
    many frames its mask is over 0.5.
    """

    dataset: str
    label: str
    answers: Mapping[str, tuple[bool, int]]
    player: Player


@dataclass(frozen=True)
class Gallery:
    """Cards to filter and play, shown by Jupyter and in the book; made by :func:`gallery`."""

    cards: tuple[Card, ...]

    def _repr_html_(self) -> str:
        """Return the gallery as HTML that works alone, with every sprite sheet inside."""
        cards = [
            {
                "dataset": card.dataset,
                "label": card.label,
                "answers": [
                    {"network": network, "right": right, "length": length}
                    for network, (right, length) in card.answers.items()
                ],
                "figure": {**card.player.figure, "sheet": sheet_address(card.player.sheet)},
            }
            for card in self.cards
        ]
        data = html.escape(json.dumps(cards, ensure_ascii=False))
        scripts = [
            f'<script type="module">{script_module(name)}</script>'
            for name in ("player.js", "gallery.js")
        ]
        return (
            f'<clip-gallery data-cards="{data}"><p>{html.escape(self.text)}</p></clip-gallery>'
            f"{''.join(scripts)}"
        )

    def __repr__(self) -> str:
        """Describe the gallery in words, for readers of plain text."""
        return f"<Gallery: {self.text}>"

    @property
    def text(self) -> str:
        """What the gallery holds, in words: "32 clips of something-mini, 12 of kth-mini"."""
        counts = pd.Series([card.dataset for card in self.cards]).value_counts(sort=False)
        (first, clips), *others = counts.items()
        return ", ".join([f"{clips} clips of {first}", *(f"{n} of {name}" for name, n in others)])


def gallery(studies: Sequence) -> Gallery:
    """Return some explained clips of every class of each study, in the order of the classes.

    They are the first `EACH` of a class among those that the stages explained, which were drawn
    there by the study's seed; fewer, where fewer were explained.
    """
    return Gallery(tuple(card for study in studies for card in _cards(study)))


def _cards(study) -> list[Card]:
    told = {title: study.table(f"explain-{name}", "clips") for name, title in TITLES.items()}
    index = study.explained_clips().index.sort_values("label", kind="stable")
    chosen = index.groupby("label", sort=False).head(EACH)
    cards = []
    for position, label in chosen["label_name"].items():
        rows = {title: table.iloc[position] for title, table in told.items()}
        answers = {
            title: (bool(row["guess"] == row["label"]), int(row["mask_length"]))
            for title, row in rows.items()
        }
        cards.append(Card(study.dataset, label, answers, explanation_player(study, position)))
    return cards
