"""The folder for files that are fetched once and kept for all runs."""

import os
from pathlib import Path

# Of the array pickle with I3D's Kinetics weights, which `vidlib.models.kinetics` fetches.
ARRAYS_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"


def cache_folder(cache: Path | None = None) -> Path:
    """Return `cache`, else the folder in VIDLIB_CACHE, else .cache/vidlib in the home folder.

    >>> cache_folder(Path("here")).name
    'here'
    """
    return Path(cache or os.environ.get("VIDLIB_CACHE") or Path.home() / ".cache/vidlib")


def kinetics_file(cache: Path | None = None) -> Path:
    """Return the path of I3D's converted Kinetics weights, whether the file is there or not.

    >>> kinetics_file(Path("here")).name
    'i3d-kinetics-af5c50f0df57cc48.safetensors'
    """
    return cache_folder(cache) / f"i3d-kinetics-{ARRAYS_SHA256[:16]}.safetensors"


def has_kinetics_weights(cache: Path | None = None) -> bool:
    """Tell whether the weights that `download_kinetics_i3d` fetches are in the cache.

    >>> has_kinetics_weights(Path("no such folder"))
    False
    """
    return kinetics_file(cache).is_file()
