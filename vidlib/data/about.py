"""What the data sets are, in a few sentences each, for people."""

ABOUT = {
    "something-mini": (
        "**something-mini** is rendered by this study: 16 of the 174 classes of "
        "Something-something V2, under their own names and numbers, as VP9 videos of 12 frames a "
        "second in the original's layout. Where everything is, and when what decides happens, is "
        "known of every frame."
    ),
    "kth-mini": (
        "**kth-mini** is rendered by this study: 25 articulated figures of different build and "
        "clothing who walk, jog, run, box, clap and wave in four scenarios, as videos in KTH "
        "Actions' layout, in grey, 160 by 120 pixels at 25 frames a second. Where every joint is, "
        "how far a cycle has come and who is in view is known of every frame. Persons 1 to 16 "
        "train."
    ),
    "cue-marker": (
        "**cue-marker** is rendered by this study: in each clip one of four markers is shown for a "
        "while, somewhere. Which one it is, is the class; nothing else differs between classes."
    ),
    "cue-order": (
        "**cue-order** is rendered by this study: in each clip the same two markers are shown, one "
        "after the other. Which comes first is the class; nothing else differs between classes."
    ),
    "something": (
        "**Something-something V2** (Goyal et al., ICCV 2017): 220,847 clips of a few seconds in "
        "which people do one of 174 things with whatever was at hand, as VP9 videos of 12 frames a "
        "second. A class is a sentence with gaps for the objects, such as *Moving something up*. "
        "The labels of its test split are not published."
    ),
    "kth": (
        "**KTH Actions** (Schüldt, Laptev and Caputo, ICPR 2004): 25 people, six actions, four "
        "scenarios (outdoors, outdoors at changing scale, outdoors in other clothes, indoors), in "
        "grey, 160 by 120 pixels at 25 frames a second. 599 videos, of which a list cuts 2391 "
        "sequences. As in the paper, persons 1 to 16 train; the others, its test set, are called "
        "validation here."
    ),
}
