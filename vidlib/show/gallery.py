"""The gallery: explained clips of every class, to filter by class, answers and mask length.

Each clip is a card with its player. ``gallery.js`` makes a player, and so loads its sprite sheet,
when its card comes near the visible part of the page.
"""

from collections import Counter
from collections.abc import Sequence

from vidlib.compare.paper import NUMBERS
from vidlib.show.clips import explanation_player
from vidlib.show.names import TITLES
from vidlib.show.sprites import Figure, script_module

EACH = 2  # clips of a class, as in the paper's appendix A.2


def gallery(studies: Sequence) -> Figure:
    """Return some explained clips of every class of each study, in the order of the classes.

    They are the first `EACH` of a class, or fewer, among the clips that the stages explained, which
    the study's seed drew; of an original data set, those that the paper shows come first, and all.

    >>> shown = gallery([study])
    >>> {card["dataset"] for card in shown.figure}
    {'something-mini'}
    """
    cards = []
    for study in studies:
        answers = {}
        for name, title in TITLES.items():
            told = study.table(f"explain-{name}", "clips")
            right = (told["guess"] == told["label"]).tolist()
            answers[title] = list(zip(right, told["mask_length"].tolist(), strict=True))
        index = study.explained_clips().index.sort_values("label", kind="stable")
        chosen = index.groupby("label", sort=False).head(EACH).index
        theirs = index[index["clip_id"].isin({} if study.rendered else NUMBERS)].index
        for position in index.index[index.index.isin(chosen.union(theirs))]:
            card = {"dataset": study.dataset, "label": index.loc[position, "label_name"]}
            card["answers"] = {title: of_clips[position] for title, of_clips in answers.items()}
            cards.append(card | {"player": explanation_player(study, position).figure})
    return gallery_of(cards)


def gallery_of(cards: Sequence[dict]) -> Figure:
    """Return cards to filter and play.

    A card is one clip: its dataset; label, the class's name; answers, for each network's title
    whether its guess is right and in how many frames its mask is over 0.5; player, its figure.

    >>> card = {"dataset": "something-mini", "label": "Boxing", "answers": {}, "player": {}}
    >>> gallery_of([card, card, {**card, "dataset": "kth-mini"}])
    <Figure: 2 clips of something-mini, 1 of kth-mini>
    """
    counts = Counter(card["dataset"] for card in cards)
    text = ", ".join(f"{clips} of {dataset}" for dataset, clips in counts.items())
    modules = [script_module(name) for name in ("player.js", "gallery.js")]
    return Figure("clip-gallery", cards, text.replace(" of ", " clips of ", 1), modules)
