"""The gallery: explained clips of every class, to filter by class, answers and mask length.

Each clip is a card with its player. ``gallery.js`` makes a player, and so loads its sprite sheet,
when its card comes near the visible part of the page.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vidlib.compare.paper import NUMBERS
from vidlib.show.clips import explanation_player
from vidlib.show.names import TITLES
from vidlib.show.sprites import Figure, element, script_module

EACH = 2  # clips of a class, as in the paper's appendix A.2


@dataclass(frozen=True)
class Card:
    """One clip of a gallery: what readers filter by, and its player.

    label: the class's name. answers: for each network's title whether its guess is right, and in
    how many frames its mask is over 0.5.
    """

    dataset: str
    label: str
    answers: Mapping[str, tuple[bool, int]]
    player: Figure


@dataclass(frozen=True)
class Gallery:
    """Cards to filter and play, shown by Jupyter and in the book; made by :func:`gallery`."""

    cards: tuple[Card, ...]

    def _repr_html_(self) -> str:
        """Return the gallery as HTML that works alone, with every sprite sheet inside."""
        cards = [{**vars(card), "player": card.player.data} for card in self.cards]
        modules = [script_module(name) for name in ("player.js", "gallery.js")]
        return element("clip-gallery", cards, self.text, *modules)

    def __repr__(self) -> str:
        """Describe the gallery in words, for plain text."""
        return f"<Gallery: {self.text}>"

    @property
    def text(self) -> str:
        """The number of cards in words: "32 clips of something-mini, 12 of kth-mini"."""
        counts = Counter(card.dataset for card in self.cards)
        text = ", ".join(f"{clips} of {dataset}" for dataset, clips in counts.items())
        return text.replace(" of ", " clips of ", 1)


def gallery(studies: Sequence) -> Gallery:
    """Return some explained clips of every class of each study, in the order of the classes.

    They are the first `EACH` of a class, or fewer, among the clips that the stages explained, which
    the study's seed drew; of an original data set, those that the paper shows come first, and all.

    >>> shown = gallery([study])
    >>> {card.dataset for card in shown.cards}
    {'something-mini'}
    """
    cards = []
    for study in studies:
        tables = {t: study.table(f"explain-{name}", "clips") for name, t in TITLES.items()}
        index = study.explained_clips().index.sort_values("label", kind="stable")
        chosen = index.groupby("label", sort=False).head(EACH).index
        theirs = index[index["clip_id"].isin({} if study.rendered else NUMBERS)].index
        for position in index.index[index.index.isin(chosen.union(theirs))]:
            label = index.loc[position, "label_name"]
            rows = {title: table.iloc[position] for title, table in tables.items()}
            answers = {
                title: (bool(row["guess"] == row["label"]), int(row["mask_length"]))
                for title, row in rows.items()
            }
            cards.append(Card(study.dataset, label, answers, explanation_player(study, position)))
    return Gallery(tuple(cards))
