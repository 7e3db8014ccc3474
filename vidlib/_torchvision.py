"""Let ``import torchvision`` work where its compiled operators do not match torch's build.

A torchvision wheel built for CUDA cannot load its C++ extension beside a CPU-only torch, and its
import then fails with ``operator torchvision::nms does not exist``. Declaring the schemas that it
registers fake kernels for is enough for transforms and all video models; ``torchvision.io`` and
``torchvision.ops.nms`` stay unavailable. Where the extension loads, this does nothing.
"""

import importlib.util
from pathlib import Path

import torch


def _extension_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    folder = Path(spec.origin).parent
    libraries = [*folder.glob("_C*.so"), *folder.glob("_C*.pyd")]
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return bool(libraries)


if not _extension_loads():
    _library = torch.library.Library("torchvision", "DEF")  # must stay referenced
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
