"""A network while it is explained: asked about many clips, and left as it was found."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_map

from vidlib.explain.adapter import Unanswered, logits_in

INTERNALS = vars(nn.Module()).keys()
HOLDERS = (Tensor, list, dict)
OUTPUTS = 'vidlib.explain.adapt(model, outputs=...), such as "one logit" or a function'


class Asked:
    """A network that `held_fixed` holds: maps clips (B, C, T, H, W) on its device to logits (B, K).

    Each call finds the buffers, hidden states and caches that were there before the first, in
    copies: `found` has them by module. Hooks may put into `noted` what they see in a call.
    """

    def __init__(self, model: nn.Module):
        """Note the model's device, the types in which it may take clips, and what it keeps."""
        if not isinstance(model, nn.Module):
            raise ValueError(f"the model is a {type(model).__name__}: give an nn.Module")
        tensors = [*model.parameters(), *model.buffers()]
        if any(is_lazy(tensor) or tensor.is_meta for tensor in tensors):
            raise ValueError("the model has no weights yet: load them, or run it on a clip once")
        self.model: Any = model
        self.noted = list[Tensor]()
        self.device = tensors[0].device if tensors else torch.device("cpu")
        self.types = list(dict.fromkeys(t.dtype for t in tensors if t.is_floating_point()))
        self.found = [(module, _kept_by(module)) for module in model.modules()]

    def __call__(self, clips: Tensor) -> Tensor:
        """Return logits, clip by clip if the model takes no batch of them."""
        return together_or_alone(self.together, clips)

    def together(self, clips: Tensor) -> Tensor:
        """Return logits of clips that the model sees together; raise `Unanswered` if it fails.

        It gets a copy, which it may change, in the type of its parameters. If they have several
        types, these are tried in turn.
        """
        failure: Exception | None = None
        for dtype in self.types or [clips.dtype]:
            self.put_back(lambda value: tree_map(_copied, value))
            self.noted.clear()
            try:
                logits = _logits(self.model(clips.to(dtype, copy=True)), len(clips))
                self.types = [dtype]
                return logits
            except Unanswered:
                raise
            except Exception as error:  # a foreign network raises anything
                failure = failure or error
        raise Unanswered(
            f"the model fails on clips (B, C, T, H, W) of shape {tuple(clips.shape)} ({failure}): "
            "if it takes other inputs, wrap it with vidlib.explain.adapt"
        ) from failure

    def put_back(self, given: Callable[[Any], Any] = lambda found: found) -> None:
        """Let every module have again what it was found with, or what is ``given`` for that."""
        for module, found in self.found:
            for name, now in _kept_by(module).items():
                was = found.get(name)
                if _holds(now) or (now is not was and _holds(was)):
                    if name in found:
                        setattr(module, name, given(was))
                    else:
                        delattr(module, name)


def _kept_by(module: nn.Module) -> dict[str, Any]:
    own = {name: value for name, value in vars(module).items() if name not in INTERNALS}
    return own | dict(module._buffers.items())


def _holds(value: object) -> bool:
    """Tell whether a value can hold a state: a tensor other than a parameter, a list or a dict."""
    if isinstance(value, tuple):
        return any(map(_holds, value))
    return isinstance(value, HOLDERS) and type(value) is not nn.Parameter


def _copied(value: object) -> object:
    return value.detach().clone() if isinstance(value, Tensor) and _holds(value) else value


def _logits(returned: object, clips: int) -> Tensor:
    """Return as logits (B, K) what a model returned; also (B, K, 1, 1, 1), and (K,) of one clip."""
    found = logits_in(returned)
    if isinstance(found, Tensor) and found.layout == torch.strided and not found.is_complex():
        logits = found[None] if clips == 1 and found.ndim == 1 and len(found) > 1 else found
        if logits.ndim > 2 and logits[:1].numel() == max(logits.shape[1:]):
            logits = logits.flatten(1)
        if logits.ndim == 2 and len(logits) == clips:
            return logits.to(torch.promote_types(logits.dtype, torch.float32))
    shape, kind = getattr(found, "shape", ()), getattr(found, "dtype", type(found).__name__)
    raise Unanswered(
        f"the model's output has shape {tuple(shape)} and type {kind}: give a model that returns "
        f"logits (B, K), here for {clips} clips, or say how to make them with {OUTPUTS}"
    )


@contextmanager
def held_fixed(model: nn.Module, *, gradients: bool = False) -> Iterator[Asked]:
    """Put the model into eval mode, its parameters out of autograd; yield it to be asked.

    Modes are set without a call of `eval`, which may do more. PyTorch's recurrent layers stay in
    training mode, without dropout: in eval mode cuDNN gives them no gradients. Gradients are
    recorded or not, whatever the caller's mode.

    On leaving, even by an exception, modes, requires_grad flags, buffers, hidden states and the
    random state are restored. No parameter takes part in autograd, so no ``.grad`` changes.

    >>> layer = nn.Linear(2, 2)
    >>> with held_fixed(layer) as asked:
    ...     asked.device.type, layer.training, layer.weight.requires_grad
    ('cpu', False, False)
    >>> layer.training, layer.weight.requires_grad
    (True, True)
    """
    asked = Asked(model)
    fixed: list[tuple[Any, str, Any]] = [
        (p, "requires_grad", False) for p in model.parameters() if not p.is_inference()
    ]
    for module in model.modules():
        recurrent = type(module) in (nn.RNN, nn.LSTM, nn.GRU)
        fixed += [(module, "training", recurrent), (module, "dropout", 0.0)][: 1 + recurrent]
    fixed = [change for change in fixed if hasattr(*change[:2])]  # frozen scripts have no mode
    found = [(thing, name, getattr(thing, name)) for thing, name, _ in fixed]
    devices = [asked.device] if asked.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.inference_mode(False):
        try:
            for thing, name, value in fixed:
                setattr(thing, name, value)
            with torch.set_grad_enabled(gradients):
                yield asked
        finally:
            for thing, name, value in found:
                setattr(thing, name, value)
            asked.put_back()


def together_or_alone(ask: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """Return what ``ask`` says of clips; if it raises `Unanswered`, of each alone, joined."""
    try:
        return ask(*batches)
    except Unanswered:
        if len(batches[0]) > 1:
            with suppress(Unanswered):
                rows = zip(*(batch.split(1) for batch in batches), strict=True)
                return torch.cat([ask(*row) for row in rows])
        raise
