"""How video networks use time: data, networks, explanations and figures of the study."""

from vidlib import _torchvision  # noqa: F401  (before anything imports torchvision)
