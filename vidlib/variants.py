"""The study's two networks, and the controls beside them.

The two published networks differ not only in how they use time, but also in capacity, head and the
geometry of their maps. A control changes one thing and what follows from it (often the number of
parameters too), so that a finding can be traced to it. All are trained by the same loop, on the
same clips, with the epochs and learning rate of their family.
"""

from dataclasses import dataclass

from vidlib.named import function_of

I3D_FIELDS = ("i3d_width", "i3d_dropout", "i3d_strides", "i3d_temporal_strides")
CLSTM_FIELDS = ("frames", "size", "clstm_hidden", "clstm_strides", "clstm_dropout")


@dataclass(frozen=True)
class Variant:
    """A network of the study, or a control.

    family: "i3d" or "clstm". builder: the function, named "module:name", that returns its arguments
    for a profile and a number of classes. fields: the settings that this function reads. differs:
    how it differs from its family's network, "" for that network itself. start: the function that
    builds it, if it starts from other weights than random ones. compared: other families whose
    networks its builder measures.
    """

    family: str
    builder: str
    fields: tuple[str, ...]
    differs: str = ""
    start: str = ""
    compared: tuple[str, ...] = ()

    def arguments(self, p, classes: int) -> dict:
        """Return the keyword arguments that a profile `p` builds this network with."""
        return function_of(self.builder)(p, classes)

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of the networks that it consists of or is measured against."""
        return tuple(f"vidlib.models.{family}" for family in (self.family, *self.compared))


I3D, CLSTM = "vidlib.models.i3d_variants", "vidlib.models.clstm_variants"
VARIANTS = {
    "i3d": Variant("i3d", f"{I3D}:own", I3D_FIELDS),
    "clstm": Variant("clstm", f"{CLSTM}:own", CLSTM_FIELDS),
    "i3d-causal": Variant("i3d", f"{I3D}:causal", I3D_FIELDS, "never looks ahead"),
    "i3d-narrow": Variant(
        "i3d",
        "vidlib.models.narrow:narrow_i3d",
        (*I3D_FIELDS, *CLSTM_FIELDS),
        "has as many parameters as the C-LSTM",
        compared=("clstm",),
    ),
    "i3d-sequence": Variant(
        "i3d", f"{I3D}:sequence", (*I3D_FIELDS, "frames", "size"), "has the C-LSTM's head"
    ),
    "i3d-kinetics": Variant(
        "i3d",
        f"{I3D}:kinetics",
        I3D_FIELDS,
        "starts from Kinetics weights, at their width",
        "vidlib.models.kinetics:load_kinetics_i3d",
    ),
    "clstm-average": Variant("clstm", f"{CLSTM}:average", CLSTM_FIELDS, "has I3D's head"),
    "clstm-bidirectional": Variant(
        "clstm", f"{CLSTM}:bidirectional", CLSTM_FIELDS, "reads from both ends"
    ),
    "clstm-4": Variant("clstm", f"{CLSTM}:four_layers", CLSTM_FIELDS, "has four layers"),
    "clstm-5": Variant("clstm", f"{CLSTM}:five_layers", CLSTM_FIELDS, "has five layers"),
}
STUDIED = tuple(name for name, one in VARIANTS.items() if not one.differs)
