"""What figures call networks and classes."""

import re

TITLES = {"i3d": "I3D", "clstm": "C-LSTM"}
SHORTER = {  # patterns, replaced in this order
    " while filming something$": "",
    " with each other$": "",
    "something and something": "two things",
    "something": "it",
    " from somewhere": "",
    "from left to right": "rightwards",
    "from right to left": "leftwards",
}


def short(name: str) -> str:
    """Return a class's name in a few words that fit on an axis.

    >>> short("Pushing something from left to right")
    'Pushing it rightwards'
    """
    for pattern, words in SHORTER.items():
        name = re.sub(pattern, words, name)
    return name
