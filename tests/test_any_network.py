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


class ByClip(Net):
    """Writes into views of its input, which autograd cannot follow."""

    def forward(self, clips):
        for clip in clips.data:
            clip.mul_(2).div_(2)
        return super().forward(clips)


@pytest.mark.parametrize("kind", [InPlace, ReluInPlace, Filled, Standardised, ByClip])
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


class Recurrent(nn.Module):
    """A network of frames that begins each clip with no memory of another."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.rnn = nn.Conv2d(3, 4, 3), nn.GRUCell(4, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, clips):
        state = self.begin(clips)
        for frames in clips.unbind(2):
            state = self.rnn(self.conv(frames).mean((2, 3)), state)
        self.end(state)
        return self.head(state)

    def begin(self, clips):
        return clips.new_zeros(len(clips), 5)

    def end(self, state):
        pass


class InAttribute(Recurrent):
    state = None

    def begin(self, clips):
        return super().begin(clips) if self.state is None else self.state

    def end(self, state):
        self.state = state


class InList(Recurrent):
    def __init__(self):
        super().__init__()
        self.states = []

    def begin(self, clips):
        return self.states[-1] if self.states else super().begin(clips)

    def end(self, state):
        self.states.append(state)


class InBuffer(Recurrent):
    def __init__(self):
        super().__init__()
        self.register_buffer("state", torch.zeros(1, 5))

    def begin(self, clips):
        return self.state.expand(len(clips), -1).clone()

    def end(self, state):
        self.state.copy_(state[:1])


@pytest.mark.parametrize("kind", [InAttribute, InList, InBuffer])
def test_each_clip_is_asked_about_from_the_state_that_was_found(kind):
    net = kind()
    net.rnn.requires_grad_(False)
    for name, function in FUNCTIONS.items():
        if name != "grad_cam":
            torch.testing.assert_close(function(net, CLIPS), function(Recurrent(), CLIPS), msg=name)
    assert net.begin(CLIPS).eq(0).all() and not vars(net).get("states")


def test_clips_and_weights_of_inference_mode():
    with torch.inference_mode():
        clips, fixed = CLIPS.clone(), Net()
    answers(Net(), clips)
    net = Net()
    for name, function in FUNCTIONS.items():
        with torch.inference_mode():
            found = function(net, clips)
        torch.testing.assert_close(found, function(Net(), CLIPS), msg=name)
    answers(fixed, functions=WITHOUT_GRADIENTS)
    with pytest.raises(ValueError, match=r"no gradients.*Inference tensors"):
        learn_masks(fixed, CLIPS)


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


class Vector(Net):
    """Drops the axis of the batch from the logits of a single clip."""

    def forward(self, clips):
        return super().forward(clips).squeeze(0)


@pytest.mark.parametrize("kind", [Single, Squeezed, FirstOnly, Asserts, Vector])
def test_a_network_for_one_clip_is_asked_one_by_one(kind):
    answers(kind())


def test_a_network_for_four_clips_is_adapted():
    class Four(Net):
        def forward(self, clips):
            return super().forward(clips.view(4, 3, 8, 6, 6))

    net = adapt(Four(), inputs=lambda x: x.expand(4, -1, -1, -1, -1), outputs=lambda y: y[:1])
    answers(net, functions=[name for name in FUNCTIONS if name != "grad_cam"])


class Dropping(Net):
    def forward(self, clips):
        return super().forward(nn.functional.dropout(clips, training=True))


class Mixing(Net):
    """Has the logits of each clip depend on the others'."""

    def forward(self, clips):
        logits = super().forward(clips)
        return logits - logits.mean(0)


class Repeating(Net):
    def forward(self, clips):
        return super().forward(clips[:1]).expand(len(clips), -1)


@pytest.mark.parametrize("kind", [Dropping, Mixing, Repeating])
@pytest.mark.parametrize("function", [learn_masks, search_masks, occlusion, integrated_gradients])
def test_answers_that_are_not_of_the_clip_alone_are_noticed(kind, function):
    with pytest.warns(UserWarning, match="other logits"):
        function(kind(), CLIPS)


class OwnModes(Net):
    """Has dropout that its own `eval` leaves on."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout()

    def eval(self):
        raise RuntimeError("not in this house")

    def forward(self, clips):
        return super().forward(self.dropout(clips))


def test_modes_are_set_whatever_eval_does():
    net = OwnModes()
    answers(net)
    assert net.dropout.training


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
    for function in ("grad_cam", "integrated_gradients"):
        with pytest.raises(ValueError, match="use_reentrant=False"):
            FUNCTIONS[function](Checkpointed(), CLIPS)
    answers(Checkpointed(), functions=["learn_masks", "search_masks"])


class CheckpointedWell(Net):
    def forward(self, clips):
        found = checkpoint(lambda x: self.conv(x).relu(), clips, use_reentrant=False)
        return self.head(found.mean((3, 4)).flatten(1))


def test_other_checkpointing_is_followed():
    answers(CheckpointedWell())


class FrozenBackbone(Net):
    def forward(self, clips):
        with torch.no_grad():
            found = self.conv(clips)
        return self.head(found.relu().mean((3, 4)).flatten(1))


def test_gradients_from_the_layer_on_are_enough_for_grad_cam():
    answers(FrozenBackbone(), functions=["grad_cam", "search_masks"])


class Rounding(Net):
    def forward(self, clips):
        return super().forward(clips.round())


def test_a_gradient_of_zero_is_noticed():
    with pytest.warns(UserWarning, match="gradient is 0"):
        learn_masks(Rounding(), CLIPS)


def test_quantised_networks_are_searched_alone():
    engines = torch.backends.quantized.supported_engines
    torch.backends.quantized.engine = engines[-1]
    net = torch.ao.quantization.quantize_dynamic(Net(), {nn.Linear}, dtype=torch.qint8)
    answers(net, tolerance=0.05, functions=["score_clips", "search_masks"])
    for name in ("learn_masks", "grad_cam"):
        with pytest.raises(ValueError, match="no gradients"):
            FUNCTIONS[name](net, CLIPS)


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


@pytest.mark.parametrize(
    "change",
    [
        torch.Tensor.double,
        lambda clips: clips.transpose(1, 2).contiguous().transpose(1, 2),
        lambda clips: clips.contiguous(memory_format=torch.channels_last_3d),
        lambda clips: clips.clone().requires_grad_(),
        nn.Parameter,
    ],
    ids=["double", "transposed", "channels last", "with gradients", "parameter"],
)
def test_clips_in_another_form(change):
    answers(Net(), change(CLIPS))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "clips",
    [CLIPS.numpy(), list(CLIPS), None, CLIPS[0], CLIPS.to(torch.uint8), CLIPS[:, :, :0]],
    ids=["an array", "a list", "nothing", "one clip", "bytes", "no frames"],
)
def test_what_are_no_clips(name, clips):
    with pytest.raises(ValueError, match="give floating-point clips"):
        FUNCTIONS[name](Net(), clips)


class MixedTypes(Net):
    """Takes half precision, though its first parameter has single."""

    def __init__(self):
        super().__init__()
        conv, self.conv = self.conv, None
        self.scale = nn.Parameter(torch.ones(1))
        self.conv = conv.bfloat16()

    def forward(self, clips):
        return self.head((self.conv(clips) * self.scale).relu().mean((3, 4)).flatten(1))


class WithoutWeights(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.tensor(8))
        self.register_buffer("weights", torch.eye(3).double())

    def forward(self, clips):
        return clips[:, :, :3].mean((1, 3, 4)) @ self.weights


def test_networks_of_several_types():
    answers(MixedTypes(), tolerance=0.1, functions=["score_clips", "search_masks", "find_masks"])
    assert FUNCTIONS["grad_cam"](MixedTypes(), CLIPS).max() == 1
    assert find_masks(WithoutWeights(), CLIPS).mask.shape == (2, 8)


@pytest.mark.parametrize(
    "net",
    [nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), Net().to("meta"), lambda clips: clips],
    ids=["lazy", "meta", "function"],
)
@pytest.mark.parametrize("function", [score_clips, learn_masks, occlusion])
def test_what_is_no_network_yet(net, function):
    with pytest.raises(ValueError, match=r"no weights yet|give an nn\.Module"):
        function(net, CLIPS)


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
        lambda logits: {"logits": (logits,)},
        lambda logits: logits[..., None, None, None],
        lambda logits: logits[:, None],
    ],
    ids=["a dict", "an object", "a named tuple", "a tuple", "a list", "nested", "maps", "a frame"],
)
def test_logits_in_other_wrappings(wrap):
    answers(returning(wrap))


@pytest.mark.parametrize("axes", ["BTCHW", "BTHWC", "TBCHW", "BCHWT"])
def test_other_orders_of_axes(axes):
    class Other(Net):
        def forward(self, clips):
            return super().forward(clips.permute(*(axes.index(axis) for axis in "BCTHW")))

    answers(adapt(Other(), axes=axes))


class ByFrame(Net):
    """Takes frames (B T, C, H, W) by keyword; returns a dict of logits for each frame."""

    def forward(self, *, pixels):
        logits = super().forward(pixels.unflatten(0, (-1, 8)).transpose(1, 2))
        return {"scores": logits[:, None].expand(-1, 8, -1)}


def test_inputs_and_outputs_by_functions():
    with pytest.raises(ValueError, match=r"vidlib\.explain\.adapt"):
        score_clips(ByFrame(), CLIPS)
    answers(
        adapt(
            ByFrame(),
            axes="BTCHW",
            inputs=lambda x: {"pixels": x.flatten(0, 1)},
            outputs=lambda found: found["scores"].mean(1),
        )
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda z: {"scores": z},
        lambda z: (z.sum(), z),
        lambda z: z[:, None].expand(-1, 8, -1),
        lambda z: z.repeat_interleave(8, 0),
        lambda z: z.t(),
        lambda z: z + 0j,
        lambda z: None,
    ],
    ids=[
        "another dict",
        "loss first",
        "by frame",
        "frames as clips",
        "turned",
        "complex",
        "nothing",
    ],
)
def test_other_outputs_say_what_to_do(wrap):
    for name in ("score_clips", "learn_masks", "grad_cam"):
        with pytest.raises(ValueError, match=r"logits \(B, K\), here for . clips.*adapt.*outputs"):
            FUNCTIONS[name](returning(wrap), CLIPS)


def test_the_first_of_several_tensors_is_taken():
    answers(returning(lambda z: (z, z.repeat(1, 4))), functions=["score_clips"])


def test_absent_classes_may_be_minus_infinity():
    net = returning(lambda z: torch.cat([z, torch.full_like(z[:, :1], -torch.inf)], 1))
    answers(net, functions=["learn_masks", "find_masks", "occlusion"])
    assert score_clips(net, CLIPS)[:, 3].eq(0).all()


def test_outputs_that_are_not_as_said():
    for outputs, match in (("probabilities", "no probabilities"), ("one logit", "3 outputs")):
        with pytest.raises(ValueError, match=match):
            score_clips(adapt(Net(), outputs=outputs), CLIPS)


def test_both_classes_of_one_logit_have_maps():
    net = adapt(returning(lambda z: z[:, :1]), outputs="one logit")
    for target in (0, 1):
        maps = grad_cam(net, CLIPS[:1], torch.tensor([target]), layer=net.model.conv)
        assert maps.max() == 1


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


# Layers for Grad-CAM.


class Around(nn.Module):
    def __init__(self, inner, wrap):
        super().__init__()
        self.inner, self.wrap = inner, wrap

    def forward(self, x):
        return self.wrap(self.inner(x))


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda x: (x, 1), lambda found: found[0]),
        (lambda x: [None, x], lambda found: found[1]),
        (lambda x: {"maps": x}, lambda found: found["maps"]),
        (lambda x: Output(x, 1), lambda found: found.logits),
        (lambda x: ((x,), 1), lambda found: found[0][0]),
    ],
    ids=["tuple", "list", "dict", "named tuple", "nested"],
)
def test_layers_that_return_more(wrap, unwrap):
    class More(Net):
        def __init__(self):
            super().__init__()
            self.around = Around(self.conv, wrap)

        def forward(self, clips):
            return self.head(unwrap(self.around(clips)).relu_().mean((3, 4)).flatten(1))

    net = More()
    found = grad_cam(net, CLIPS, layer=net.around)
    torch.testing.assert_close(found, FUNCTIONS["grad_cam"](Net(), CLIPS))


def test_layers_that_cannot_be_watched():
    scripted = torch.jit.script(Net())
    with pytest.raises(ValueError, match="scripted or traced"):
        grad_cam(scripted, CLIPS, layer=scripted.conv)
    exported = torch.export.export(Net(), (CLIPS[:1],)).module()
    with pytest.raises(ValueError, match="not called"):
        grad_cam(exported, CLIPS, layer=exported.conv)


# What worked before must go on working.


def test_wrapped_compiled_scripted_and_recurrent_networks():
    answers(nn.DataParallel(Net()))
    answers(nn.Sequential(Net()))
    answers(torch.compile(Net(), backend="eager"), functions=["learn_masks", "grad_cam"])
    scripted = torch.jit.script(Net())
    frozen = torch.jit.freeze(torch.jit.script(Net().eval()))
    traced = torch.jit.trace(Net().eval(), CLIPS[:1])
    exported = torch.export.export(Net().eval(), (CLIPS[:1],)).module()
    for net in (scripted, frozen, traced, exported):
        answers(net, functions=["score_clips", "learn_masks", "search_masks"])


class Sequence(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.LSTM(3, 5, 2, batch_first=True, dropout=dropout)
        self.head = nn.Linear(5, 3)

    def forward(self, clips):
        return self.head(self.rnn(clips.mean((3, 4)).transpose(1, 2))[0][:, -1])


def test_recurrent_layers_drop_nothing():
    net, wanted = Sequence(0.5), Sequence(0.0).eval()
    for name, function in FUNCTIONS.items():
        if name != "grad_cam":
            torch.testing.assert_close(function(net, CLIPS), function(wanted, CLIPS), msg=name)
    assert net.rnn.dropout == 0.5
