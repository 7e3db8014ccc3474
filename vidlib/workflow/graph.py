"""The stages of the study: what each reads, which settings it sees, which code it depends on.

Plans need no more than this table. It imports no stage, so reading it takes milliseconds.
"""

from dataclasses import dataclass, field
from typing import Any

from vidlib.datasets import DataSet
from vidlib.named import module_of
from vidlib.variants import STUDIED, VARIANTS

Fields = tuple[str, ...]
RECIPE = ("epochs", "lr", "optimizer", "schedule", "weight_decay", "checkpoint")  # of each family
BOTH = ("momentum", "batch_size", "precision")  # of both


@dataclass(frozen=True)
class Stage:
    """One step of the study.

    module: its function `run` makes the result. fields: the settings of the profile that it sees.
    upstream: the stages whose results it reads; "files" stands for the data set itself. options:
    further arguments of `run`; functions are named "module:name". modules: further modules that
    count as its code. control: whether it belongs to a control, for which nothing else waits.
    together: whether all processes of a run make it, and the first one's results count. shared:
    whether they share its parts among them. Otherwise the first process makes it alone.
    """

    module: str
    fields: Fields
    upstream: Fields = ()
    options: dict[str, object] = field(default_factory=dict)
    modules: Fields = ()
    control: bool = False
    together: bool = False
    shared: bool = False

    @property
    def entries(self) -> list[str]:
        """The modules whose code, and all that it imports, a result depends on."""
        named = (o for o in self.options.values() if isinstance(o, str) and ":" in o)
        return [self.module, *self.modules, *map(module_of, named)]


def stages_of(dataset: DataSet) -> dict[str, Stage]:
    """Return the stages of a data set's study by name, each after those that it needs.

    >>> from vidlib.datasets import DATASETS
    >>> list(stages_of(DATASETS["cue-order"]))[:3]
    ['render', 'prepare', 'observe']
    """
    stages: dict[str, Stage] = {}
    one = dataset

    def add(name: str, fields: Fields, upstream: Fields = (), **more: Any) -> None:
        module = f"vidlib.stages.{name.partition('-')[0]}"
        stages[name] = Stage(module, fields, upstream, **more)

    if one.rendered:
        sized = ("render_size",) if one.sized else ()
        options = {"renderer": one.renderer, **({"kind": one.kind} if one.kind else {})}
        add("render", ("train_clips", "validation_clips", "data_seed", *sized), options=options)
    add("prepare", ("frames", "size"), ("files",), options={"reader": one.reader})
    judge = {"observer": one.observer} if one.rendered else {}
    if one.rendered:
        add("observe", ("frames",), ("files", "prepare"), options=judge)
    if one.mirrored:
        add("leakage", ("gate_epochs", "gate_batch_size", "gate_lr", "train_seed"), ("prepare",))
    if one.planted:
        gate = ("cue_epochs", "gate_batch_size", "gate_lr", "train_seed")
        add("intervene", gate, ("files", "prepare"))
    chosen = ("mask_l1", "mask_tv", "explained_clips", "explained_classes", "data_seed")
    masks = (*chosen, "mask_method", "mask_iterations", "mask_lr")
    searched = (*chosen, "mask_iterations", "searched_clips")
    seeds = ("data_seed", "train_seed")
    for name, variant in VARIANTS.items():
        control = bool(variant.differs)
        recipe = tuple(f"{variant.family}_{setting}" for setting in RECIPE)
        start = {"start": variant.start} if variant.start else {}
        add(
            f"train-{name}",
            (*variant.fields, *recipe, *BOTH, "train_seed"),
            ("prepare",),
            options={"family": variant.family, "builder": variant.builder, **start},
            modules=variant.modules,
            control=control,
            together=True,
        )
        own, trained = {"network": name}, ("prepare", f"train-{name}")
        add(f"evaluate-{name}", seeds, trained, options=own, control=control)
        own = own if one.rendered else {**own, "original": one.original}
        judged, read = {**own, **judge}, ("files", *trained)
        add(f"explain-{name}", masks, read, options=judged, control=control, shared=True)
        if not control:
            add(f"search-{name}", searched, trained, options=own, shared=True)
            add(f"rivals-{name}", masks, (*read, f"search-{name}"), options=judged)
    seen = tuple(f"{stage}-{name}" for stage in ("evaluate", "explain") for name in STUDIED)
    add("compare", ("data_seed",), seen, options={"networks": list(STUDIED)})
    return stages
