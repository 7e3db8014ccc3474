"""Learned and searched masks on networks whose decisive frames are known."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from networks import Transition, noise, ramp, small_net, state_of
from torch import nn

from benchmarks._published import published_mask
from vidlib.explain import (
    find_masks,
    freeze,
    learn_masks,
    masks,
    penalty,
    perturb,
    reverse,
    score_clips,
    scores,
    search_masks,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def plain_loss(mask, score, l1=0.01, tv=0.02, beta=3):
    """Eq. 1, term by term, for one clip."""
    length = sum(abs(m) for m in mask)
    variation = sum(abs(b - a) ** beta for a, b in pairwise(mask))
    return l1 * length + tv * variation + score


# ---------------------------------------------------------------- scores


def test_score_clips_is_softmax_in_eval_mode_whatever_the_micro_batch():
    clips = noise(5, 2, 4, 3, 3)
    net = small_net(clips)
    expected = net.eval()(clips).softmax(1).detach()
    net.train()
    for micro_batch in (1, 2, 16):
        scores = score_clips(net, clips, micro_batch=micro_batch)
        torch.testing.assert_close(scores, expected)
    assert not scores.requires_grad
    assert net.training


def test_the_micro_batch_fits_what_autograd_keeps(monkeypatch):
    net = nn.Sequential(nn.Flatten(), nn.Linear(32, 4).double(), nn.Tanh())
    clips = ramp()  # of one clip the tanh keeps its four results; weights do not grow with clips
    for room, fits in ((4 * 8 * 5, 5), (4 * 8 * 6 - 1, 5), (1, 1), (2**40, 32)):
        monkeypatch.setattr(scores, "ROOM", room)
        assert scores.fitting_batch(net, clips) == fits


# ---------------------------------------------------------------- search


def test_search_finds_the_one_transition_that_decides():
    found = search_masks(Transition(5), ramp())
    sure = torch.sigmoid(torch.tensor(6.0)).item()
    assert found.targets.tolist() == [1]
    assert found.mask.tolist() == [[0, 0, 0, 0, 0, 1, 0, 0]]
    assert found.original_score.item() == pytest.approx(sure)
    assert found.score.item() == pytest.approx(0.5)  # the transition is gone
    assert found.loss.item() == pytest.approx(0.5 + 0.01 + 2 * 0.02)
    for first in range(8):
        for last in range(first, 8):
            gone = max(first, 1) <= 5 <= last
            jump = 0 if first > 5 or gone else max(0, last - max(first, 1) + 1) * (last == 4)
            expected = 0.5 if gone else torch.sigmoid(torch.tensor(6.0 * (1 + jump))).item()
            assert found.landscape[0, first, last].item() == pytest.approx(expected)
    assert found.landscape[0].isnan().sum() == 8 * 7 // 2


@pytest.mark.parametrize("step", [2, 3, 5, 8])
def test_a_coarser_search_scores_the_same_but_fewer_windows(step):
    clips = noise(2, 2, 8, 3, 3)
    net = small_net(clips)
    fine, coarse = search_masks(net, clips), search_masks(net, clips, step=step)
    ends = sorted({*range(step, 9, step), 8})
    tried = {(first, end - 1) for first in range(0, 8, step) for end in ends if end > first}
    told = ~coarse.landscape.isnan()
    assert {tuple(window) for window in told[0].nonzero().tolist()} == tried
    assert torch.allclose(coarse.landscape[told], fine.landscape[told])
    assert (coarse.loss >= fine.loss - 1e-6).all()
    for mask, best in zip(coarse.mask, coarse.loss, strict=True):
        on = mask.nonzero().flatten()
        assert (on[0].item(), on[-1].item()) in tried and best.isfinite()


def test_by_default_32_frames_cost_no_more_windows_than_16():
    assert (~search_masks(Transition(5), noise(1, 1, 16, 2, 2)).landscape.isnan()).sum() == 136
    assert (~search_masks(Transition(5), noise(1, 1, 32, 2, 2)).landscape.isnan()).sum() == 136
    for step in (0, 9):
        with pytest.raises(ValueError, match=f"step is {step}: .* at least 1 and at most 8"):
            search_masks(Transition(5), ramp(), step=step)


@pytest.mark.parametrize("perturbation", [freeze, reverse])
def test_search_equals_brute_force(perturbation):
    clips, length = noise(2, 2, 5, 3, 3), 5
    net = small_net(clips)
    found = search_masks(net, clips, torch.tensor([2, 0]), perturbation=perturbation, micro_batch=3)
    net.eval()
    for clip, target, row in zip(clips, (2, 0), range(2), strict=True):
        best = None
        for first in range(length):
            for last in range(first, length):
                mask = [float(first <= t <= last) for t in range(length)]
                frames = list(range(length))
                if perturbation is freeze:
                    for t in range(1, length):
                        frames[t] = frames[t - 1] if mask[t] else t
                else:
                    frames[first : last + 1] = reversed(frames[first : last + 1])
                score = net(clip[None, :, frames]).softmax(1)[0, target].item()
                assert found.landscape[row, first, last].item() == pytest.approx(score)
                loss = plain_loss(mask, score)
                if best is None or loss < best[0]:
                    best = (loss, score, mask)
        assert found.loss[row].item() == pytest.approx(best[0])
        assert found.score[row].item() == pytest.approx(best[1])
        assert found.mask[row].tolist() == best[2]


def test_search_scores_windows_that_perturb_alike_once():
    net = Transition(5)
    search_masks(net, ramp(), micro_batch=1)
    assert net.calls == 2 + 28 + 1  # the clip, twice; windows within frames 1 to 7; the identity


# ---------------------------------------------------------------- the start window


def test_start_is_the_smallest_centred_window_that_is_enough():
    cases = {4: [0, 0, 0, 1, 1, 0, 0, 0], 5: [0, 0, 1, 1, 1, 1, 0, 0], 7: [1] * 8}
    for decisive, window in cases.items():
        learned = learn_masks(Transition(decisive), ramp(), iterations=0)
        assert learned.start.tolist() == [window]
        inside = torch.sigmoid(torch.tensor(5.0, dtype=torch.float64)).item()
        expected = [inside if on else 1 - inside for on in window]
        assert learned.mask[0].tolist() == pytest.approx(expected)


class Tabled(nn.Module):
    """Class 1 scores what a table says of how many of the clip's frames differ from a ramp."""

    def __init__(self, scores):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(scores, dtype=torch.float64).logit())

    def forward(self, clips):
        frames = clips.mean((1, 3, 4))
        changed = (frames - ramp(frames.shape[1])[0, 0, :, 0, 0]).abs() > 1e-6
        logit = self.logits[changed.sum(1)]
        return torch.stack([torch.zeros_like(logit), logit], 1)


# Frozen, the centred windows of six frames change 2, 4 and 5 of them (the first never changes).
@pytest.mark.parametrize(
    ("after", "corrected", "paper"),
    [
        # 88 % and 92 % of the whole clip's drop: the second is enough, the first fails
        ({2: 0.94 - 0.44, 4: 0.94 - 0.46, 5: 0.44}, [0, 1, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0]),
        # 88 % both: the whole clip it must be; the first to fail is the larger one
        ({2: 0.94 - 0.44, 4: 0.94 - 0.44, 5: 0.44}, [1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0]),
        # both are enough: the smallest, for either
        ({2: 0.94 - 0.48, 4: 0.94 - 0.46, 5: 0.44}, [0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0]),
    ],
)
def test_ninety_percent_decides_the_start(after, corrected, paper):
    net = Tabled([0.94, 0.94, after[2], 0.94, after[4], after[5]])
    for procedure, expected in (("corrected", corrected), ("paper", paper)):
        learned = learn_masks(net, ramp(6), procedure=procedure, iterations=0)
        assert learned.start.tolist() == [expected]


def test_a_network_that_does_not_mind_starts_from_the_smallest_window():
    learned = learn_masks(Tabled([0.7] * 6), ramp(5), iterations=0)
    assert learned.start.tolist() == [[0, 0, 1, 0, 0]]


def test_published_start_compares_a_reversal_with_the_frozen_clip():
    # Reversed, the windows change 2, 4 and 4 frames; frozen, the whole clip changes 4.
    class Directed(Tabled):
        def forward(self, clips):
            frames = clips.mean((1, 3, 4))
            frozen = (frames[:, 1:] == frames[:, :-1]).all(1)
            logit = torch.where(frozen, self.logits[5], super().forward(clips)[:, 1])
            return torch.stack([torch.zeros_like(logit), logit], 1)

    net = Directed([0.9, 0.9, 0.7, 0.9, 0.5, 0.1])
    # Of the drop by freezing, 0.8, reversing causes 0.4: every window fails.
    learned = learn_masks(net, ramp(5), perturbation=reverse, procedure="paper", iterations=0)
    assert learned.start.tolist() == [[0, 1, 1, 1, 0]]
    learned = learn_masks(net, ramp(5), perturbation=reverse, iterations=0)
    assert learned.start.tolist() == [[1, 1, 1, 1, 1]]  # three frames reversed cause 0.2 of 0.4


# ---------------------------------------------------------------- learning


def test_learned_mask_marks_the_decisive_frame_at_about_the_oracles_loss():
    net = Transition(5)
    learned, oracle = (find(net, ramp()) for find in (learn_masks, search_masks))
    assert (learned.mask[0] > 0.5).int().tolist() == oracle.mask[0].int().tolist()
    assert learned.loss.item() < oracle.loss.item() + 0.01
    assert learned.loss.item() > oracle.loss.item() - 0.05


def test_loss_and_score_are_those_of_the_returned_mask_and_never_worse_than_the_start():
    clips = noise(4, 2, 6, 3, 3)
    net = small_net(clips)
    targets = torch.tensor([0, 1, 2, 0])
    learned = learn_masks(net, clips, targets, iterations=25)
    start = learn_masks(net, clips, targets, iterations=0)
    net.eval()
    for row in range(4):
        mask = learned.mask[row].tolist()
        frames = [clips[row, :, 0]]
        for t in range(1, 6):
            frames.append((1 - mask[t]) * clips[row, :, t] + mask[t] * frames[-1])
        score = net(torch.stack(frames, 1)[None]).softmax(1)[0, targets[row]].item()
        assert learned.score[row].item() == pytest.approx(score)
        assert learned.loss[row].item() == pytest.approx(plain_loss(mask, score))
    assert torch.equal(learned.start, start.start)
    assert (learned.loss < start.loss).all()
    assert torch.equal(learned.original_score, start.original_score)


@pytest.mark.parametrize("perturbation", [freeze, reverse])
def test_a_clip_is_learned_as_if_alone(perturbation):
    clips = noise(5, 2, 6, 3, 3)
    net = small_net(clips)
    options = {"perturbation": perturbation, "iterations": 60}
    together = learn_masks(net, clips, **options)
    alone = torch.cat([learn_masks(net, clip[None], **options).mask for clip in clips])
    by_two = learn_masks(net, clips, micro_batch=2, **options)
    torch.testing.assert_close(together.mask, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(by_two.mask, alone, atol=1e-5, rtol=0)


def test_the_learning_rate_of_table_4_cannot_leave_the_start_window():
    learned = learn_masks(Transition(5), ramp(), lr=0.001)
    moved = learned.mask.logit() - (2 * learned.start - 1) * 5
    assert 0.2 < moved.abs().max() < 0.35
    assert torch.equal(learned.mask.round(), learned.start)


def test_targets_default_to_the_guess_on_the_clip_itself():
    learned = learn_masks(Transition(2), torch.cat([ramp(), -ramp()]), iterations=2)
    assert learned.targets.tolist() == [1, 0]
    chosen = learn_masks(Transition(2), ramp(), torch.tensor([0]), iterations=2)
    assert chosen.original_score.item() == pytest.approx(1 - learned.original_score[0].item())


def test_the_published_procedure_equals_a_plain_loop():
    clips = noise(3, 2, 7, 3, 3)
    net = small_net(clips).eval()
    targets = torch.tensor([0, 2, 1])
    learned = learn_masks(net, clips, targets, procedure="paper", iterations=40)
    for clip, target, mask in zip(clips, targets.tolist(), learned.mask, strict=True):
        plain = published_mask(net, clip, target, iterations=40)
        torch.testing.assert_close(mask, plain, atol=1e-6, rtol=0)
    assert (learned.losses.diff(dim=1) > 0).any()  # the last mask is not the best
    assert torch.equal(learned.loss, learned.losses[:, -1])


def test_the_published_reversal_cannot_move_the_second_half():
    clips = noise(1, 2, 6, 3, 3)
    net = small_net(clips)
    start = torch.full((1, 6), 0.9, dtype=torch.float64)
    options = {"perturbation": reverse, "start": start, "l1": 0, "tv": 0, "iterations": 5}
    moved = learn_masks(net, clips, procedure="paper", **options).path.diff(dim=1).abs().sum(1)
    assert (moved[0, :3] > 1e-3).all() and (moved[0, 3:] == 0).all()
    moved = learn_masks(net, clips, **options).path.diff(dim=1).abs().sum(1)
    assert (moved > 1e-3).all()


def test_path_and_losses_tell_every_step():
    clips = noise(2, 2, 5, 3, 3)
    net = small_net(clips)
    learned = learn_masks(net, clips, iterations=12)
    assert learned.path.shape == (2, 13, 5) and learned.losses.shape == (2, 13)
    net.eval()
    for row in range(2):
        for mask, loss in zip(learned.path[row], learned.losses[row], strict=True):
            shown = perturb(clips[row : row + 1], freeze(mask[None]))
            score = net(shown).softmax(1)[0, learned.targets[row]].item()
            assert loss.item() == pytest.approx(plain_loss(mask.tolist(), score))
    assert torch.equal(learned.loss, learned.losses.amin(1))


def test_a_clip_is_done_when_its_loss_no_longer_falls_and_leaves_the_batch():
    class Counting(Transition):
        seen = 0

        def forward(self, clips):
            self.seen += len(clips)
            return super().forward(clips)

    # Without a penalty, a clip that always scores the same has nothing to gain.
    clips = torch.cat([ramp(), torch.zeros_like(ramp())])
    net = Counting(5)
    before = learn_masks(net, clips, l1=0, tv=0, iterations=0, micro_batch=2)
    base = net.seen
    net.seen = 0
    learned = learn_masks(net, clips, l1=0, tv=0, iterations=100, micro_batch=2)
    steps = (~learned.losses.isnan()).sum(1)
    assert steps[1] == masks.PATIENCE + 1 < steps[0]
    assert net.seen == base - 2 + steps.sum() + 1  # once, whether it gives gradients
    assert learned.path[1, steps[1] :].isnan().all() and learned.mask.isfinite().all()
    assert torch.equal(learned.mask[1], before.mask[1])


def test_the_early_stop_spares_steps_and_costs_little(monkeypatch):
    clips = noise(24, 2, 8, 3, 3)
    net = small_net(clips)
    stopped = learn_masks(net, clips, iterations=300)
    monkeypatch.setattr(masks, "PATIENCE", 300)
    full = learn_masks(net, clips, iterations=300)
    assert (stopped.loss >= full.loss).all() and (stopped.loss - full.loss).mean() < 0.02
    assert (~stopped.losses.isnan()).sum() < 0.5 * (~full.losses.isnan()).sum()


def test_masks_can_start_from_others():
    given = torch.tensor([[0.0, 1, 0.3, 0.6, 0, 0, 1, 1]], dtype=torch.float64)
    learned = learn_masks(Transition(5), ramp(), start=given, iterations=0)
    edge = torch.sigmoid(torch.tensor(-5.0, dtype=torch.float64)).item()
    assert learned.mask[0].tolist() == pytest.approx(given[0].clamp(edge, 1 - edge).tolist())
    again = learn_masks(Transition(5), ramp(), start=learned.mask, iterations=0)
    torch.testing.assert_close(again.mask, learned.mask)


@pytest.mark.parametrize("find", [learn_masks, search_masks, find_masks])
def test_the_score_can_be_the_logit(find):
    net = Transition(5)
    found = find(net, ramp(), score="logit")
    assert found.original_score.item() == pytest.approx(6)
    expected = plain_loss(found.mask[0].tolist(), found.score.item())
    assert found.loss.item() == pytest.approx(expected)
    assert found.score.item() < 0.5 and (found.mask[0] > 0.5).nonzero().flatten().tolist()[0] <= 5


# ---------------------------------------------------------------- finding


def hard_window(found):
    """The best window among those tried, and its loss, from the landscape alone."""
    best = None
    for first, last in (~found.landscape.isnan()).nonzero().tolist():
        mask = [float(first <= t <= last) for t in range(len(found.landscape))]
        loss = plain_loss(mask, found.landscape[first, last].item())
        if best is None or loss < best[0] - 1e-12:
            best = (loss, first, last)
    return best


@pytest.mark.parametrize("length", [1, 2, 5, 8, 16])
def test_found_masks_are_local_optima_and_never_above_their_start(length):
    clips = noise(4, 2, length, 3, 3)
    net = small_net(clips)
    found, oracle = find_masks(net, clips), search_masks(net, clips)
    start = learn_masks(net, clips, iterations=0)
    tried = ~found.landscape.isnan()
    torch.testing.assert_close(found.landscape[tried], oracle.landscape[tried])
    assert torch.equal(found.start, start.start)
    for row in range(4):
        one = SimpleNamespace(landscape=found.landscape[row])
        loss, first, last = hard_window(one)
        assert found.loss[row] <= loss + 1e-9
        for a in (first - 1, first, first + 1):
            for b in (last - 1, last, last + 1):
                if 0 <= a <= b < length:
                    mask = [float(a <= t <= b) for t in range(length)]
                    assert plain_loss(mask, oracle.landscape[row, a, b].item()) >= loss - 1e-9
        on = [float(first <= t <= last) for t in range(length)]
        begin = plain_loss(found.start[row].tolist(), oracle.landscape[row][ends(found.start[row])])
        assert plain_loss(on, oracle.landscape[row, first, last].item()) <= begin + 1e-9


def ends(window):
    on = window.nonzero().flatten()
    return on[0].item(), on[-1].item()


def test_finding_tries_far_fewer_windows_than_searching():
    clips = noise(6, 2, 16, 3, 3)
    net = small_net(clips)
    found, oracle = find_masks(net, clips), search_masks(net, clips)
    assert (~found.landscape.isnan()).sum() < 0.45 * (~oracle.landscape.isnan()).sum()


def test_found_loss_and_score_are_those_of_the_mask():
    clips = noise(5, 2, 8, 3, 3)
    net = small_net(clips)
    found = find_masks(net, clips, perturbation=reverse)
    shown = perturb(clips, reverse(found.mask))
    scores = net.eval()(shown).softmax(1).gather(1, found.targets[:, None])[:, 0]
    torch.testing.assert_close(found.score, scores.detach())
    torch.testing.assert_close(found.loss, penalty(found.mask) + found.score)


def test_what_keeps_half_its_score_is_tried_from_the_start_window_too(monkeypatch):
    asked, descend = [], masks._descend

    def listening(objective, rows, start, *settings):
        asked.append(start.round().tolist())
        return descend(objective, rows, start, *settings)

    monkeypatch.setattr(masks, "_descend", listening)
    # Reversed, the step goes the other way and takes the whole score; frozen, it leaves a half.
    reversed_, frozen = (
        find_masks(Transition(4), ramp(), perturbation=p) for p in (reverse, freeze)
    )
    assert reversed_.score < reversed_.original_score / 2 < frozen.score
    assert len(asked) == 3 and asked[2] == frozen.start.tolist()


@pytest.mark.parametrize("find", [learn_masks, search_masks, find_masks])
def test_the_bar_reaches_its_end(find, capsys):
    find(Transition(5), ramp(), progress=True)
    assert "100%" in capsys.readouterr().err.split("\r")[-1]


def test_a_window_that_cannot_be_better_is_not_tried():
    # One frozen transition brings the score to nothing: only windows as short are worth a try.
    net = Transition(5, sharpness=40.0)

    class Zeroed(Transition):
        def forward(self, clips):
            logits = super().forward(clips)
            return torch.cat([logits[:, :1] + 20, logits[:, 1:]], 1)

    found = find_masks(Zeroed(5, sharpness=40.0), ramp())
    first, last = (~found.landscape[0].isnan()).nonzero(as_tuple=True)
    assert net.t == 5 and found.loss.item() < 0.06
    assert ((last - first + 1).float().median()) <= 4


@pytest.mark.parametrize("length", [1, 2, 7])
def test_constant_masks_give_finite_results(length):
    clips = noise(2, 2, length, 3, 3)
    learned = learn_masks(small_net(clips), clips, iterations=5)
    assert learned.mask.isfinite().all() and learned.loss.isfinite().all()


def test_penalty_is_equation_1_with_finite_slope():
    mask = torch.tensor([[0.1, 0.9, 0.4], [0.5, 0.5, 0.5]], dtype=torch.float64)
    terms = penalty(mask, 0.01, 0.02, 3)
    assert terms.tolist() == pytest.approx([0.014 + 0.02 * (0.512 + 0.125), 0.015])
    for beta in (1, 3):
        mask.requires_grad_().grad = None
        penalty(mask, 0.01, 0.02, beta).sum().backward()
        assert mask.grad[1].tolist() == pytest.approx([0.01] * 3)


# ---------------------------------------------------------------- the model is left as found


@pytest.mark.parametrize("find", [learn_masks, search_masks, find_masks])
@pytest.mark.parametrize("fails_at", [None, 1, 3, 5])
def test_model_is_left_as_found_even_after_an_exception(find, fails_at):
    clips = noise(2, 2, 4, 3, 3).requires_grad_()
    net = small_net(clips)
    net[2].eval()
    net[5].bias.requires_grad_(False)
    net(clips).sum().backward()
    clips.grad = None
    seen = SimpleNamespace(calls=0)

    def watch(module, _inputs):
        seen.calls += 1
        assert not any(m.training for m in module.modules())
        assert not any(p.requires_grad for p in module.parameters())
        if fails_at and seen.calls >= fails_at:
            raise RuntimeError("broken")

    net.register_forward_pre_hook(watch)
    modes, flags, grads = state_of(net)
    options = {"iterations": 4} if find is learn_masks else {}
    if fails_at:
        with pytest.raises(ValueError, match="broken"):
            find(net, clips, micro_batch=1, **options)
    else:
        find(net, clips, **options)
    after = state_of(net)
    assert (after[0], after[1]) == (modes, flags)
    for grad, now in zip(grads, after[2], strict=True):
        assert now is grad is None or torch.equal(now, grad)
    assert clips.grad is None


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("find", [learn_masks, search_masks, find_masks])
@pytest.mark.parametrize(
    ("clips", "options", "message"),
    [
        (torch.zeros(1, 8, 2, 2), {}, r"floating-point clips \(B, C, T, H, W\)"),
        (torch.zeros(1, 1, 8, 2, 2, dtype=torch.uint8), {}, "type torch.uint8"),
        (torch.zeros(0, 1, 8, 2, 2), {}, "not empty"),
        (ramp(), {"l1": -1}, "l1 is -1: .* at least 0"),
        (ramp(), {"tv": -1}, "tv is -1: .* at least 0"),
        (ramp(), {"beta": 0.5}, "beta is 0.5: .* at least 1"),
        (ramp(), {"micro_batch": 0}, "micro_batch is 0"),
        (ramp(), {"score": "loss"}, "score is 'loss': give one of softmax, logit"),
    ],
)
def test_bad_arguments_stop_before_the_model_runs(find, clips, options, message):
    net = Transition(5)
    with pytest.raises(ValueError, match=message):
        find(net, clips, **options)
    assert net.calls == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": -1}, "iterations is -1: .* at least 0"),
        ({"lr": 0}, "lr is 0: .* above 0"),
        ({"procedure": "published"}, "procedure is 'published': .* corrected, paper"),
        ({"start": torch.zeros(1, 7)}, r"start has shape \(1, 7\) .* masks \(1, 8\)"),
        ({"targets": torch.tensor([1, 1])}, "one whole class number for each of the 1 clips"),
        ({"targets": torch.tensor([1.0])}, "type torch.float32"),
        ({"targets": torch.tensor([2])}, r"targets lie in \[2, 2\]: .* 0 to 1"),
    ],
)
def test_learning_refuses_what_it_cannot_use(options, message):
    with pytest.raises(ValueError, match=message):
        learn_masks(Transition(5), ramp(), **options)


def test_models_that_return_no_logits_are_named():
    with pytest.raises(ValueError, match=r"output has shape \(1, 1, 8, 2, 2\) .* logits \(B, K\)"):
        learn_masks(nn.Identity(), ramp())
    with pytest.raises(ValueError, match="scores of clip 1 are not finite"):
        learn_masks(Transition(5), torch.cat([ramp(), ramp() * torch.nan]))
