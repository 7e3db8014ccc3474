"""From video files to clips: rendered and original sets, one path."""

from vidlib.data.clips import Clips, load_clips, prepare_clips, to_network
from vidlib.data.render import render_something_mini
from vidlib.data.something import read_something
from vidlib.data.video import VideoError, read_clip, sample_frames, write_webm

__all__ = [
    "Clips",
    "VideoError",
    "load_clips",
    "prepare_clips",
    "read_clip",
    "read_something",
    "render_something_mini",
    "sample_frames",
    "to_network",
    "write_webm",
]
