"""The study's two networks, and the controls beside them.

The two published networks differ not only in how they use time, but also in capacity, head and the
geometry of their maps. A control changes one thing and what follows from it (often the number of
parameters too), so that a finding can be traced to it. All are trained by the same loop, on the
same clips, with the epochs and learning rate of their family. `tables/variants.yaml` lists them.
"""

from dataclasses import dataclass

from vidlib.named import function_of, read_table

# Settings that every network is built by, and those of a family, which begin with its name.
SHARED = ("frames", "size", "input_range")
OWN = {
    "i3d": ("width", "dropout", "bn_momentum", "strides", "temporal_strides"),
    "clstm": ("hidden", "strides", "dropout", "shared_norm", "head"),
}


@dataclass(frozen=True)
class Variant:
    """A network of the study, or a control.

    family: "i3d" or "clstm". builder: the function, named "module:name", that returns its arguments
    for a profile and a number of classes. differs: how it differs from its family's network, "" for
    that network itself. start: the function that builds it, if it starts from other weights than
    random ones. compared: other families whose networks its builder measures.
    """

    family: str
    builder: str
    differs: str = ""
    start: str = ""
    compared: tuple[str, ...] = ()

    def arguments(self, p, classes: int) -> dict:
        """Return the keyword arguments that a profile `p` builds this network with."""
        return function_of(self.builder)(p, classes)

    @property
    def fields(self) -> tuple[str, ...]:
        """The settings of a profile that it is built by."""
        families = (self.family, *self.compared)
        return (*SHARED, *(f"{family}_{field}" for family in families for field in OWN[family]))

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of the networks that it consists of or is measured against."""
        return tuple(f"vidlib.models.{family}" for family in (self.family, *self.compared))


VARIANTS = {
    name: Variant(name.partition("-")[0], **entry)
    for name, entry in read_table("variants.yaml").items()
}
STUDIED = tuple(name for name, one in VARIANTS.items() if not one.differs)
