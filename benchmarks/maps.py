"""Grad-CAM's maps against one forward and one backward pass, and against captum and grad-cam.

The backward pass goes from the targets' logits through the whole network to the clips, without
gradients of weights. For a layer called once per time step, captum returns only the last step's
map; grad-cam cannot use such a layer, and gets the C-LSTM's pooled maps instead.
"""

import importlib

import torch
from _timing import compare
from captum.attr import LayerGradCam

from vidlib.explain import grad_cam
from vidlib.explain.scores import held_fixed
from vidlib.models import CLSTM, I3D

# Imported after vidlib, which makes torchvision importable beside a CPU build of torch.
peer = importlib.import_module("pytorch_grad_cam")
ClassifierOutputTarget = peer.utils.model_targets.ClassifierOutputTarget

CLIPS = 8
torch.manual_seed(0)
clips = torch.rand(CLIPS, 3, 16, 56, 56) * 2 - 1
targets = torch.arange(CLIPS)
i3d = I3D(16, width=0.25, spatial_strides=(2, 2, 2, 1, 1)).eval()
clstm = CLSTM(16, size=(56, 56), hidden=16, stride=(2, 1, 1)).eval()


def there_and_back(network):
    def run():
        x = clips.clone().requires_grad_()
        with held_fixed(network, gradients=True):
            return torch.autograd.grad(network(x).gather(1, targets[:, None]).sum(), x)

    return run


def captum(network):
    cam = LayerGradCam(network, network.gradcam_layer)
    return lambda: cam.attribute(clips, targets, relu_attributions=True)


def pytorch_grad_cam(network, layer):
    wanted = [ClassifierOutputTarget(target) for target in targets.tolist()]

    def run():
        with peer.GradCAM(network, [layer]) as cam:
            return cam(clips, wanted)

    return run


def ours(network, **options):
    return lambda: grad_cam(network, clips, targets, **options)


print(f"I3D: maps of {CLIPS} clips")
compare(
    {
        "one forward, one backward pass": there_and_back(i3d),
        "grad_cam": ours(i3d),
        "captum": captum(i3d),
        "grad-cam": pytorch_grad_cam(i3d, i3d.gradcam_layer),
    }
)
print(f"C-LSTM: maps of {CLIPS} clips")
compare(
    {
        "one forward, one backward pass": there_and_back(clstm),
        "grad_cam": ours(clstm),
        "grad_cam, direct": ours(clstm, gradients="direct"),
        "captum, the last step alone": captum(clstm),
        "grad_cam, pooled": ours(clstm, layer=clstm.pooled),
        "grad-cam, pooled": pytorch_grad_cam(clstm, clstm.pooled),
    }
)
