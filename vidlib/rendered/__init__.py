"""Rendered clips: what happens in them, how they look, and the truth stored with them."""

from vidlib.rendered.cues import render_cues
from vidlib.rendered.kth.render import render_kth_mini
from vidlib.rendered.scene import Scene, Track, intervals, states
from vidlib.rendered.something.render import render_something_mini
from vidlib.rendered.splice import Spliced, splice_clips
from vidlib.rendered.truth import InstanceMasks, Truth
