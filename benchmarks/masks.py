"""Learning temporal masks: a whole batch at once against clip by clip, and against trying all."""

import torch
from _timing import compare

from vidlib.explain import learn_masks, search_masks
from vidlib.models import CLSTM, I3D

CLIPS, STEPS = 8, 10
torch.manual_seed(0)
clips = torch.rand(CLIPS, 3, 16, 56, 56) * 2 - 1
networks = {
    "I3D": I3D(16, width=0.25, spatial_strides=(2, 2, 2, 1, 1)),
    "C-LSTM": CLSTM(16, size=(56, 56), hidden=16, stride=(2, 1, 1)),
}
for name, network in networks.items():
    print(f"{name}: masks of {CLIPS} clips, {STEPS} steps")
    compare(
        {
            "clip by clip": lambda net=network: [
                learn_masks(net, clip[None], iterations=STEPS) for clip in clips
            ],
            "a batch at once": lambda net=network: learn_masks(net, clips, iterations=STEPS),
            "all on/off stretches": lambda net=network: search_masks(net, clips),
        },
        rounds=3,
    )
