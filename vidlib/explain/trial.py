"""Trials that tell, before expensive work, what a network does not give."""

import warnings

import torch
from torch import Tensor, nn

from vidlib.explain.asked import held_fixed

NO_GRADIENTS = (
    "the model gives no gradients ({}): mend that, or use search_masks, occlusion or random_masks"
)


def warn_of_probabilities(logits: Tensor) -> None:
    """Warn if logits (B, K) look like probabilities, of which a softmax would be taken."""
    sure = logits.shape[1] > 1 and ((logits >= 0) & (logits <= 1)).all()
    if sure and logits.sum(1).sub(1).abs().max() < 1e-3:
        warnings.warn(
            "the model seems to return probabilities, and a softmax is taken of them again: wrap "
            'it with vidlib.explain.adapt(model, outputs="probabilities")',
            stacklevel=3,
        )


def check_gradients(model: nn.Module, clips: Tensor) -> None:
    """Raise ValueError if no gradient of the model's logits reaches the clips; warn if it is 0."""
    with held_fixed(model, gradients=True) as asked:
        shown = clips[:1].detach().clone().to(asked.device).requires_grad_()
        why = "its forward runs under no_grad, detaches, or leaves PyTorch"
        try:
            best = asked(shown).max()
            if best.requires_grad:
                best.backward()
        except (ValueError, RuntimeError) as error:  # where it answers, but not for gradients
            why = str(error.__cause__ or error)
    if shown.grad is None:
        raise ValueError(NO_GRADIENTS.format(why))
    if not shown.grad.any():
        warnings.warn("the first clip's gradient is 0: nothing can be learned of it", stacklevel=3)


def check_steady(model: nn.Module, clips: Tensor, logits: Tensor) -> None:
    """Warn if the last clip's logits are others when it is asked about again, and alone."""
    with held_fixed(model) as asked:
        torch.rand(1, device=asked.device)  # what is random must not begin as it did before
        again = asked(clips[-1:].to(asked.device)).to(logits.device)
    rounding = max([0.02, *(10 * torch.finfo(dtype).eps for dtype in asked.types)])
    if (again - logits[-1:]).abs().max() > rounding * logits[-1:].abs().max():
        warnings.warn(
            "the model gives other logits when a clip is asked about again, and alone: switch off "
            "what is random in it, such as dropout, or pass micro_batch=1 if it mixes clips",
            stacklevel=4,
        )
