"""Rendered clips: what happens in them, how they look, and the truth that is kept beside them."""

from vidlib.rendered.cues import render_cues
from vidlib.rendered.kth_mini import render_kth_mini
from vidlib.rendered.scene import Scene, Track, intervals, states
from vidlib.rendered.something_mini import render_something_mini
from vidlib.rendered.splice import Spliced, splice_clips
from vidlib.rendered.truth import Masks, Truth

__all__ = [
    "Masks",
    "Scene",
    "Spliced",
    "Track",
    "Truth",
    "intervals",
    "render_cues",
    "render_kth_mini",
    "render_something_mini",
    "splice_clips",
    "states",
]
