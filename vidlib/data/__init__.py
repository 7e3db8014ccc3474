"""From video files to clips: rendered and original sets, one path."""

from vidlib.data.clips import Clips, Frames, load_clips, stream_clips, to_network
from vidlib.data.encoding import write_avi, write_webm
from vidlib.data.index import DataError, DataWarning
from vidlib.data.kth import read_kth
from vidlib.data.prepare import prepare_clips
from vidlib.data.sampling import sample_frames
from vidlib.data.something import read_something
from vidlib.data.video import VideoError, decode_sequences, promised_frames, read_clip
