"""Networks as people have them: what each function of vidlib.explain makes of them.

Every kind of fault has several members; the right answer is that of the plain network inside.
"""

from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vidlib.explain import (
    adapt,
    discriminative_crop,
    find_masks,
    grad_cam,
    integrated_gradients,
    learn_masks,
    occlusion,
    random_masks,
    score_clips,
    search_masks,
    token_grid,
)


class Net(nn.Module):
    """Small, but every frame counts in its own way."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv3d(3, 4, 3, padding=1)
        self.head = nn.Linear(4 * 8, 3)

    def forward(self, clips):
        return self.head(self.conv(clips).relu().mean((3, 4)).flatten(1))


CLIPS = torch.rand(2, 3, 8, 6, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1
FUNCTIONS = {
    "score_clips": score_clips,
    "learn_masks": lambda net, clips: learn_masks(net, clips, iterations=5).mask,
    "find_masks": lambda net, clips: find_masks(net, clips).loss,
    "search_masks": lambda net, clips: search_masks(net, clips).loss,
    "grad_cam": lambda net, clips: grad_cam(net, clips, layer=layer_of(net)),
    "occlusion": occlusion,
    "integrated_gradients": lambda net, clips: integrated_gradients(net, clips, steps=4),
    "random_masks": lambda net, clips: random_masks(net, clips, masks=8),
    "discriminative_crop": discriminative_crop,
}
WITHOUT_GRADIENTS = ("score_clips", "search_masks", "occlusion", "random_masks")
WITHOUT_GRADIENTS += ("discriminative_crop",)


def layer_of(net):
    return next(module for module in net.modules() if isinstance(module, nn.Conv3d))


def answers(net, clips=CLIPS, tolerance=1e-5, functions=FUNCTIONS):
    """Compare what all functions say of a network with what they say of the plain one."""
    for name in functions:
        wanted = FUNCTIONS[name](Net().eval(), CLIPS)
        found = FUNCTIONS[name](net, clips)
        torch.testing.assert_close(found.float(), wanted, rtol=0, atol=tolerance, msg=name)


# F. What the caller has is left as it is.


class InPlace(Net):
    def forward(self, clips):
        return super().forward(clips.mul_(0.5).add_(0.1).sub_(0.1).mul_(2))


class ReluInPlace(Net):
    def forward(self, clips):
        clips.clamp_(-1, 1)
        return super().forward(clips)


class Filled(Net):
    """Uses its input as working memory once it has read it."""

    def forward(self, clips):
        seen = clips.clone()
        clips.zero_()
        return super().forward(seen)


class Standardised(Net):
    """Puts its input into another form, and back, in place."""

    def forward(self, clips):
        shown = torch.sub(clips, 0.5, out=clips) if not clips.requires_grad else clips.sub(0.5)
        return super().forward(shown + 0.5)


@pytest.mark.parametrize("kind", [InPlace, ReluInPlace, Filled, Standardised])
def test_a_network_that_writes_into_its_input_changes_no_clip(kind):
    clips = CLIPS.clone()
    answers(kind(), clips)
    assert torch.equal(clips, CLIPS)


class Remembers(Net):
    """BatchNorm that goes on learning, dropout that goes on dropping, in eval mode too."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, clips):
        self.seen += 1
        torch.rand(3)
        return super().forward(clips)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_buffers_modes_flags_hooks_and_random_state_are_left_as_found(name):
    net = Remembers().train()
    net.head.weight.requires_grad_(False)
    hook = net.conv.register_forward_hook(lambda *_: None)
    state, modes = {k: v.clone() for k, v in net.state_dict().items()}, net.training
    random = torch.random.get_rng_state()
    FUNCTIONS[name](net, CLIPS)
    assert net.training == modes and all(m.training for m in net.modules())
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert not net.head.weight.requires_grad and net.conv.weight.requires_grad
    assert net.conv.weight.grad is None
    assert list(net.conv._forward_hooks) == [hook.id]
    assert torch.equal(torch.random.get_rng_state(), random)


# G. Networks made for one clip at a time.


class Single(Net):
    def forward(self, clips):
        return super().forward(clips.view(1, 3, 8, 6, 6))


class Squeezed(Net):
    def forward(self, clips):
        return super().forward(clips.squeeze(0)[None])


class FirstOnly(Net):
    """Answers for the first clip of a batch alone, without a word."""

    def forward(self, clips):
        return super().forward(clips[:1])


class Asserts(Net):
    def forward(self, clips):
        assert len(clips) == 1, "one clip, please"
        return super().forward(clips)


@pytest.mark.parametrize("kind", [Single, Squeezed, FirstOnly, Asserts])
def test_a_network_for_one_clip_is_asked_one_by_one(kind):
    answers(kind())


# H. Networks without gradients.


class NoGrad(Net):
    forward = torch.no_grad()(Net.forward)


class Detached(Net):
    def forward(self, clips):
        return super().forward(clips).detach()


class Inference(Net):
    @torch.inference_mode()
    def forward(self, clips):
        return super().forward(clips)


class ThroughNumpy(Net):
    def forward(self, clips):
        return torch.from_numpy(super().forward(clips.detach()).detach().numpy())


@pytest.mark.parametrize("kind", [NoGrad, Detached, Inference, ThroughNumpy])
def test_a_network_without_gradients_is_told_and_searched_all_the_same(kind):
    right = (*WITHOUT_GRADIENTS, *(["grad_cam"] if kind is NoGrad else []))  # as hooks record
    for name in FUNCTIONS.keys() - set(right):
        with pytest.raises(ValueError, match=r"no gradient.*(search_masks|occlusion)"):
            FUNCTIONS[name](kind(), CLIPS)
    answers(kind(), functions=right)


class Checkpointed(Net):
    def forward(self, clips):
        def body(x):
            return self.conv(x).relu()

        return self.head(checkpoint(body, clips, use_reentrant=True).mean((3, 4)).flatten(1))


def test_reentrant_checkpointing_is_named():
    net = Checkpointed()
    with pytest.raises(ValueError, match="use_reentrant=False"):
        grad_cam(net, CLIPS, layer=net.conv)


# I. Other types, other places.


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-5), (torch.bfloat16, 0.1), (torch.float16, 0.02)],
)
def test_a_network_in_another_precision(dtype, tolerance):
    found = score_clips(Net().to(dtype), CLIPS)
    torch.testing.assert_close(found.float(), score_clips(Net(), CLIPS), rtol=0, atol=tolerance)
    for name in FUNCTIONS:
        assert FUNCTIONS[name](Net().to(dtype), CLIPS).isfinite().all(), name


def test_clips_in_another_precision():
    answers(Net(), CLIPS.double())


# N. Other inputs and outputs.

Output = namedtuple("Output", ["logits", "hidden"])


def returning(wrap):
    class Wrapped(Net):
        def forward(self, clips):
            return wrap(super().forward(clips))

    return Wrapped()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: OrderedDict(logits=logits, loss=None),
        lambda logits: SimpleNamespace(logits=logits),
        lambda logits: Output(logits, None),
        lambda logits: (logits, "features"),
        lambda logits: [logits],
    ],
    ids=["a dict", "an object", "a named tuple", "a tuple", "a list"],
)
def test_logits_in_other_wrappings(wrap):
    answers(returning(wrap))


@pytest.mark.parametrize("axes", ["BTCHW", "BTHWC", "TBCHW", "BCHWT"])
def test_other_orders_of_axes(axes):
    class Other(Net):
        def forward(self, clips):
            return super().forward(clips.permute(*(axes.index(axis) for axis in "BCTHW")))

    answers(adapt(Other(), axes=axes))


def test_a_failure_hints_at_the_axes():
    class Other(Net):
        def forward(self, clips):
            return super().forward(clips.transpose(1, 2))

    with pytest.raises(ValueError, match=r"\(2, 3, 8, 6, 6\).*adapt"):
        score_clips(Other(), CLIPS)


def test_two_pathways():
    class SlowFast(nn.Module):
        def __init__(self):
            super().__init__()
            self.slow, self.fast = Net(), Net()

        def forward(self, pathways):
            slow, fast = pathways
            assert slow.shape[2] == 4 and fast.shape[2] == 8
            return self.slow(slow.repeat_interleave(2, 2)) + self.fast(fast)

    net = adapt(SlowFast(), pathways=(4, 8))
    numbers = torch.tensor([0, 2, 4, 7])
    slow, fast = CLIPS[:, :, numbers].repeat_interleave(2, 2), CLIPS
    wanted = (Net()(slow) + Net()(fast)).softmax(1)
    torch.testing.assert_close(score_clips(net, CLIPS), wanted)
    assert grad_cam(net, CLIPS, layer=net.model.fast.conv).max() == 1


@pytest.mark.parametrize(
    ("outputs", "wrap"),
    [
        ("probabilities", lambda z: z.softmax(1)),
        ("one logit", lambda z: z[:, 1] - z[:, 0]),
        ("one logit", lambda z: (z[:, 1] - z[:, 0])[:, None]),
        ("one probability", lambda z: (z[:, 1] - z[:, 0]).sigmoid()),
    ],
)
def test_probabilities_and_single_outputs(outputs, wrap):
    classes = 3 if outputs == "probabilities" else 2
    plain = returning(lambda z: z[:, :classes])
    found = score_clips(adapt(returning(lambda z: wrap(z[:, :classes])), outputs=outputs), CLIPS)
    torch.testing.assert_close(found, score_clips(plain, CLIPS))


def test_probabilities_are_noticed():
    with pytest.warns(UserWarning, match="probabilities"):
        score_clips(returning(lambda z: z.softmax(1)), CLIPS)


def test_one_logit_is_noticed():
    with pytest.raises(ValueError, match="one logit"):
        score_clips(returning(lambda z: z[:, :1]), CLIPS)


@pytest.mark.parametrize("order", ["THW", "HWT", "WHT", "HTW"])
def test_tokens_in_other_orders(order):
    grid = torch.arange(2 * 3 * 4).view(2, 3, 4)  # T, H, W
    tokens = grid.permute(*("THW".index(axis) for axis in order)).reshape(1, -1, 1)
    tokens = torch.cat([torch.full((1, 1, 1), -1), tokens], 1)  # a class token
    found = token_grid(2, 3, 4, order=order)(tokens)
    assert torch.equal(found[0, 0], grid)


# What worked before must go on working.


def test_wrapped_compiled_scripted_and_recurrent_networks():
    answers(nn.DataParallel(Net()))
    answers(nn.Sequential(Net()))
    scripted = torch.jit.script(Net())
    answers(scripted, functions=[n for n in FUNCTIONS if n != "grad_cam"])


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cnn, self.rnn = nn.Conv2d(3, 4, 3), nn.LSTM(4, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, clips):
        frames = clips.transpose(1, 2)
        features = self.cnn(frames.flatten(0, 1)).mean((2, 3)).unflatten(0, frames.shape[:2])
        return self.head(self.rnn(features)[0][:, -1])


def test_a_recurrent_network_of_ones_own():
    for name, function in FUNCTIONS.items():
        if name != "grad_cam":
            assert function(Recurrent(), CLIPS).isfinite().all()
