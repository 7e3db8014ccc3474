"""Video files for tests: of known frames, in any codec, and broken in known ways."""

import os
import struct

import av
import numpy as np


def numbered(count, size=(48, 64)):
    """Frames in which a white bar tells the number, on a ground that brightens with it, over noise.

    The noise, in rows 26 to 42, makes files of some size, in which there is something to break.
    """
    frames = np.empty((count, *size, 3), np.uint8)
    noise = np.random.default_rng(0).integers(90, 170, (count, 16, size[1], 3))
    for i in range(count):
        frames[i] = 60 + 100 * i // max(1, count - 1)
        frames[i, 8:24, : 1 + (size[1] - 1) * i // max(1, count - 1)] = 230
        frames[i, 26:42] = noise[i, : len(frames[i, 26:42])]
    return frames


def encode(path, frames, codec="mpeg4", fps=25, gop=12, pixels="yuv420p", form=None):
    """Write frames by any codec; every `gop`-th is a key frame."""
    if codec == "libsvtav1" and hasattr(os, "sched_getscheduler"):
        # As root this encoder gives the thread that calls it the highest real-time priority.
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        try:
            return _encode(path, frames, codec, fps, gop, pixels, form)
        finally:
            os.sched_setscheduler(0, *before)
    return _encode(path, frames, codec, fps, gop, pixels, form)


def _encode(path, frames, codec, fps, gop, pixels, form):
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.gop_size = gop
        if codec != "libsvtav1":  # it takes no rate for pictures so small
            stream.bit_rate = 2_000_000
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture.reformat(format=pixels)))
        container.mux(stream.encode())
    return path


def encode_sound(path):
    """Write a file that holds sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=48000, layout="mono")
        sound = av.AudioFrame(format="s16", layout="mono", samples=960)
        sound.sample_rate = 48000
        for plane in sound.planes:
            plane.update(bytes(plane.buffer_size))
        for _ in range(50):
            container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path


def patch_avi(data, *, frames=None, width=None, rate=None):
    """Return an AVI whose headers claim other frame numbers, widths or rates than the truth."""
    data = bytearray(data)
    main, stream = data.index(b"avih") + 8, data.index(b"strh") + 8
    picture = data.index(b"strf") + 8
    if frames is not None:
        struct.pack_into("<I", data, main + 16, frames)
        struct.pack_into("<I", data, stream + 32, frames)
    if width is not None:
        struct.pack_into("<I", data, main + 32, width)
        struct.pack_into("<I", data, picture + 4, width)
    if rate is not None:
        struct.pack_into("<I", data, stream + 24, rate)
    return bytes(data)


def avi_chunks(data):
    """Return (start, stop) of each video packet's bytes in an AVI, in order."""
    places, at = [], data.index(b"movi") + 4
    while data[at : at + 4] in (b"00dc", b"JUNK"):
        size = struct.unpack_from("<I", data, at + 4)[0]
        if data[at : at + 4] == b"00dc":
            places.append((at + 8, at + 8 + size))
        at += 8 + size + size % 2
    return places
