"""Let ``import torchvision`` work where its compiled operators do not match torch's build.

A torchvision wheel built for CUDA cannot load its C++ extension beside a CPU-only torch, and its
import then fails with ``operator torchvision::nms does not exist``. Declaring the schemas that it
registers fake kernels for is enough for transforms and all video models; ``torchvision.io`` and
``torchvision.ops.nms`` stay unavailable. Where the extension loads, this does nothing.
"""

import importlib.util
from importlib.machinery import PathFinder

import torch


def _extension_loads() -> bool:
    package = importlib.util.find_spec("torchvision")
    library = package and PathFinder.find_spec("_C", package.submodule_search_locations)
    if library is None:
        return False
    try:
        torch.ops.load_library(library.origin)
    except OSError:
        return False
    return True


if not _extension_loads():
    _library = torch.library.Library("torchvision", "DEF")  # must stay referenced
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
