"""Beside some builds of torch, torchvision's compiled operators do not load, and it does not import.

Nothing here calls them, but torchvision registers shapes for two: importing this module first declares these
where they lack.
"""

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    declared = torch.library.Library("torchvision", "DEF")
    declared.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    declared.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
