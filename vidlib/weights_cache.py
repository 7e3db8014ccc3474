"""Where files lie that were fetched once and are kept for all runs."""

import os
from pathlib import Path

# Of the arrays in the file of I3D's Kinetics weights, which `vidlib.models.kinetics` fetches.
ARRAYS_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"


def cache_folder(cache: Path | None = None) -> Path:
    """Return the folder: `cache`, or what VIDLIB_CACHE says, or .cache/vidlib in the home folder.

    >>> cache_folder(Path("here")).name
    'here'
    """
    return Path(cache or os.environ.get("VIDLIB_CACHE") or Path.home() / ".cache/vidlib")


def kinetics_file(sha256: str, cache: Path | None = None) -> Path:
    """Return where I3D's weights lie that were converted from a file with this SHA-256."""
    return cache_folder(cache) / f"i3d-kinetics-{sha256[:16]}.safetensors"


def has_kinetics_weights(cache: Path | None = None) -> bool:
    """Tell whether the weights that `download_kinetics_i3d` fetches are there."""
    return kinetics_file(ARRAYS_SHA256, cache).is_file()
