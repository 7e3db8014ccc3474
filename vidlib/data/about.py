"""What the data sets are, in a few sentences each, for readers of the notebooks."""

ABOUT = {
    "something-mini": (
        "**something-mini** is rendered by this study: 16 of the 174 classes of "
        "Something-something V2, with their own names and numbers, as VP9 videos of 12 frames a "
        "second in the original's layout. For every frame it is known where everything is, and "
        "when the event that decides the class happens."
    ),
    "kth-mini": (
        "**kth-mini** is rendered by this study: 25 articulated figures that differ in build and "
        "clothing walk, jog, run, box, clap and wave in four scenarios, as grey videos of 160 by "
        "120 pixels, 25 frames a second, in KTH Actions' layout. For every frame the joints, the "
        "phase of the cycle and who is in view are known. Persons 1 to 16 train."
    ),
    "cue-marker": (
        "**cue-marker** is rendered by this study: each clip shows one of four markers for a "
        "while, somewhere. The marker is the class; nothing else differs between classes."
    ),
    "cue-order": (
        "**cue-order** is rendered by this study: each clip shows the same two markers, one after "
        "the other. Which comes first is the class; nothing else differs between classes."
    ),
    "something": (
        "**Something-something V2** (Goyal et al., ICCV 2017): 220,847 clips of a few seconds in "
        "which people do one of 174 things with everyday objects, as VP9 videos of 12 frames a "
        "second. A class is a sentence with gaps for the objects, such as *Moving something up*. "
        "The labels of its test split are not published."
    ),
    "kth": (
        "**KTH Actions** (Schüldt, Laptev and Caputo, ICPR 2004): 25 people, six actions, four "
        "scenarios (outdoors, outdoors at changing scale, outdoors in other clothes, indoors), as "
        "599 grey videos of 160 by 120 pixels, 25 frames a second. A list divides them into 2391 "
        "sequences. As in the paper, persons 1 to 16 train; the others, its test set, are called "
        "validation here."
    ),
}
