"""How video networks use time: data, networks, explanations and figures of the study."""

import sys
from importlib.abc import MetaPathFinder


class _BeforeTorchvision(MetaPathFinder):
    """Runs `vidlib._torchvision` when torchvision is first imported, by whatever imports it.

    That module needs torch, which takes a second or two to import and which plans do without.
    """

    def find_spec(self, name, path=None, target=None):
        """Leave the finding to others."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            from vidlib import _torchvision  # noqa: F401


if "torchvision" not in sys.modules:
    sys.meta_path.insert(0, _BeforeTorchvision())
