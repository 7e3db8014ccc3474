"""The gallery: which clips it takes, and how a browser filters and loads them."""

import base64
import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from browser import Tags, serve, watch
from PIL import Image

from vidlib.show import Row, gallery, gallery_of, player
from vidlib.show.gallery import EACH

FRAMES = 4
NETWORKS = {"i3d": "I3D", "clstm": "C-LSTM"}
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked=1'>\"&"


class Explained:
    """A study whose every clip is explained: clip k is of labels[k], all its pixels are 30 k.

    I3D's guess is right on clips of an even number, its mask is over 0.5 in k % 3 frames; the
    C-LSTM always says the first class, with a mask over 0.5 in all frames but the first.
    """

    rendered = True

    def __init__(self, dataset, labels):
        self.dataset = dataset
        names = {label: f"class {label} of {dataset}" for label in labels}
        index = pd.DataFrame({"label": labels, "clip_id": [f"c{k}" for k in range(len(labels))]})
        index["label_name"] = index["label"].map(names)
        frames = 30 * np.arange(len(labels), dtype=np.uint8)[:, None, None, None, None]
        frames = np.broadcast_to(frames, (len(labels), FRAMES, 16, 16, 3)).copy()
        self.clips = SimpleNamespace(index=index, names=names, frames=frames)
        number, frame = np.arange(len(labels))[:, None], np.arange(FRAMES)
        self.masks = {"i3d": frame < number % 3, "clstm": frame >= np.ones_like(number)}
        right = number[:, 0] % 2 == 0
        first, other = min(names), max(names)
        wrong = np.where(index["label"] == first, other, first)
        self.guesses = {"i3d": np.where(right, index["label"], wrong), "clstm": first}

    def explained_clips(self):
        return self.clips

    def table(self, stage, name):
        network = stage.removeprefix("explain-")
        told = self.clips.index.assign(
            guess=self.guesses[network], mask_length=self.masks[network].sum(1)
        )
        return told.assign(OS=0.5, FS=0.25, RS=0.125, CS=0.0625)

    def arrays(self, stage, name):
        mask = self.masks[stage.removeprefix("explain-")]
        return {
            "mask": mask.astype(np.float32),
            "saliency": np.zeros((*mask.shape, 2, 2), np.uint8),
        }


def picture(card):
    """A card's sheet, as a file."""
    return io.BytesIO(base64.b64decode(card["player"]["sheet"].partition(",")[2]))


def test_of_every_class_it_takes_the_first_clips_in_the_order_of_classes():
    labels = [7, 3, 7, 3, 7, 3, 9]
    shown = gallery([Explained("one", labels), Explained("two", [5])])
    assert EACH == 2
    assert [card["player"]["caption"].split("clip ")[1][:2] for card in shown.figure] == [
        *("c1", "c3"),
        *("c0", "c2"),
        "c6",
        "c0",
    ]
    assert [card["dataset"] for card in shown.figure] == ["one"] * 5 + ["two"]
    assert [card["label"] for card in shown.figure[::2]] == [
        "class 3 of one",
        "class 7 of one",
        "class 9 of one",
    ]
    assert repr(shown) == "<Figure: 5 clips of one, 1 of two>"


def test_cards_tell_of_their_own_clip():
    labels = [7, 3, 7, 3]
    cards = gallery([Explained("one", labels)]).figure
    for card, k in zip(cards, [1, 3, 0, 2], strict=True):
        assert card["answers"] == {"I3D": (k % 2 == 0, k % 3), "C-LSTM": (labels[k] == 3, 3)}
        rows = card["player"]["rows"]
        assert [sum(m > 0.5 for m in row["mask"]) for row in rows] == [k % 3, 3]
        sheet = np.asarray(Image.open(picture(card)).convert("RGB"))
        assert np.abs(sheet[20, 20].astype(int) - 30 * k).max() <= 3  # in its first tile
        wrong = [len(row["scores"]) > 3 for row in rows]
        assert wrong == [k % 2 == 1, labels[k] == 7]


def card(label, right, lengths, dataset="one", frames=16):
    """A card of grey frames: whether the networks are right, and how long their masks are."""
    clip = np.full((frames, 32, 32, 3), 120, np.uint8)
    rows = [
        Row(network, {"original": clip}, np.arange(frames) < length)
        for network, length in zip(NETWORKS.values(), lengths, strict=True)
    ]
    answers = dict(zip(NETWORKS.values(), zip(right, lengths, strict=True), strict=True))
    figure = player(rows, caption=f"A clip: {label}.").figure
    return {"dataset": dataset, "label": label, "answers": answers, "player": figure}


def hostile():
    return gallery_of((card(HOSTILE, (True, False), (1, 2), dataset=HOSTILE),))


def test_text_cannot_break_out_of_the_page():
    page = Tags(hostile()._repr_html_(), "data-figure")
    assert page.tags == ["clip-gallery", "p", "script", "script"]
    (only,) = json.loads(page.data)
    assert only["label"] == only["dataset"] == HOSTILE
    assert only["player"]["sheet"].startswith("data:image/webp;base64,")


# In the browser -----------------------------------------------------------------------------------

CARDS = (
    card("up", (True, True), (2, 5)),
    card("up", (True, False), (7, 5)),
    card("down & out", (False, True), (0, 16)),
    card("down & out", (False, False), (16, 1)),
    card("boxing", (True, False), (30, 3), "two", frames=32),
)


@pytest.fixture
def show(browser, tmp_path):
    """Open a page with a gallery; at the end nothing may have gone wrong in it."""
    contexts, problems = [], []
    with serve(tmp_path) as address:

        def open_page(gallery, address=address, hash="", head="", tail="", **options):
            text = f"<!doctype html><meta charset='utf-8'><link rel='icon' href='data:,'>{head}"
            text += f"<body>{gallery._repr_html_()}{tail}"
            (tmp_path / "page.html").write_text(text, encoding="utf-8")
            contexts.append(browser.new_context(**options))
            page = contexts[-1].new_page()
            problems.append(watch(page, address))
            page.goto(f"{address}/page.html{hash}")
            page.locator("clip-gallery[ready]").wait_for()
            return page

        yield open_page
        for context in contexts:
            context.close()
    assert [problem for of_page in problems for problem in of_page] == []


def shown(page):
    """The numbers of the cards that are shown, after a check that the count says as many."""
    visible = "items => items.flatMap((item, n) => item.offsetHeight ? [n] : [])"
    numbers = page.locator("clip-gallery li").evaluate_all(visible)
    count = page.get_by_role("status").inner_text()
    if numbers:
        assert count == f"{len(numbers)} of {len(CARDS)} clips"
    else:
        assert count == f"None of {len(CARDS)} clips: clear or loosen a filter."
    return numbers


def network(page, name):
    return page.get_by_role("group", name=name, exact=True).first


@pytest.mark.browser
def test_filters_narrow_the_clips_and_clear(show):
    page = show(gallery_of(CARDS))
    assert shown(page) == [0, 1, 2, 3, 4]
    page.get_by_label("Data set").select_option("one")
    assert shown(page) == [0, 1, 2, 3]
    network(page, "I3D").get_by_label("Answer").select_option("right")
    assert shown(page) == [0, 1]
    network(page, "C-LSTM").get_by_label("Answer").select_option("wrong")
    assert shown(page) == [1]
    page.get_by_label("Class").select_option("down & out")
    assert shown(page) == []
    page.get_by_role("button", name="Clear filters").click()
    assert shown(page) == [0, 1, 2, 3, 4]
    assert page.get_by_label("Class").input_value() == ""


@pytest.mark.browser
def test_both_ends_of_a_mask_length_count(show):
    page = show(gallery_of(CARDS))
    i3d, clstm = network(page, "I3D"), network(page, "C-LSTM")
    i3d.get_by_label("Mask length from").fill("2")
    assert shown(page) == [0, 1, 3, 4]
    i3d.get_by_label("Mask length to").fill("16")
    assert shown(page) == [0, 1, 3]
    clstm.get_by_label("Mask length from").fill("5")
    assert shown(page) == [0, 1]
    i3d.get_by_label("Mask length from").fill("")
    i3d.get_by_label("Mask length to").fill("0")
    assert shown(page) == [2]
    assert i3d.get_by_label("Mask length to").get_attribute("max") == "32"


@pytest.mark.browser
def test_it_is_filtered_by_keys_alone(show):
    page = show(gallery_of(CARDS))
    network(page, "I3D").get_by_label("Answer").focus()
    page.keyboard.press("ArrowDown")
    assert shown(page) == [0, 1, 4]
    page.keyboard.press("Tab")
    page.keyboard.type("7")
    page.keyboard.press("Tab")
    page.keyboard.type("29")
    assert shown(page) == [1]
    page.keyboard.press("Enter")  # sends no form
    assert shown(page) == [1]


@pytest.mark.browser
def test_the_address_keeps_the_filters(show):
    page = show(gallery_of(CARDS))
    page.get_by_label("Class").select_option("down & out")
    network(page, "C-LSTM").get_by_label("Mask length to").fill("9")
    assert shown(page) == [3]
    linked = page.evaluate("location.hash")
    again = show(gallery_of(CARDS), hash=linked)
    assert shown(again) == [3]
    assert again.get_by_label("Class").input_value() == "down & out"
    assert again.get_by_label("Data set").input_value() == ""
    again.evaluate("location.hash = 'i3d=right&c-lstm=wrong'")
    again.get_by_text("2 of 5 clips").wait_for()
    assert shown(again) == [1, 4]
    again.go_back()
    again.get_by_text("1 of 5 clips").wait_for()
    assert shown(again) == [3]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("#class=sideways&i3d=maybe&c-lstm-to=few", [0, 1, 2, 3, 4]),
        ("#the-clips", [0, 1, 2, 3, 4]),
        ("#i3d=wrong&%E0%A4%A", [2, 3]),
    ],
)
def test_an_address_that_makes_no_sense_does_no_harm(show, address, wanted):
    page = show(gallery_of(CARDS), hash=address)
    assert shown(page) == wanted
    assert page.locator("select[name=class] option:checked").inner_text() == "any"


@pytest.mark.browser
def test_another_place_in_the_page_leaves_the_filters(show):
    page = show(gallery_of(CARDS), tail="<p id='end'>end</p>")
    page.get_by_label("Data set").select_option("two")
    page.evaluate("""new Promise(done => {
        addEventListener("hashchange", () => done(), {once: true}); // called after the gallery's
        location.hash = "end";
    })""")
    assert shown(page) == [4]


PLAYERS = """gallery => [...gallery.shadowRoot.querySelectorAll("li")]
    .flatMap((item, n) => item.querySelector("temporal-mask-player") ? [n] : [])"""


@pytest.mark.browser
def test_players_are_made_as_they_come_near(show):
    many = tuple(card(f"kind {n}", (True, True), (n, n)) for n in range(16))
    page = show(gallery_of(many), viewport={"width": 390, "height": 844})
    element = page.locator("clip-gallery")
    page.locator("temporal-mask-player[ready]").first.wait_for()
    made = element.evaluate(PLAYERS)
    assert made == list(range(len(made))) and len(made) < 5
    page.locator("li").nth(12).scroll_into_view_if_needed()
    page.locator("li").nth(12).locator("temporal-mask-player[ready]").wait_for()
    assert not {5, 6} & set(element.evaluate(PLAYERS)) - set(made)  # passed over, not loaded
    page.get_by_label("Class").select_option("kind 15")
    page.locator("li").nth(15).locator("temporal-mask-player[ready]").wait_for()


@pytest.mark.browser
def test_a_player_in_a_card_plays(show):
    page = show(gallery_of(CARDS))
    first = page.locator("temporal-mask-player").first
    first.get_by_role("button", name="Play").click()
    page.locator("temporal-mask-player[frame='2']").first.wait_for()
    assert not page.locator("temporal-mask-player").nth(1).evaluate("element => element.playing")


@pytest.mark.browser
def test_it_works_from_a_file(show, tmp_path):
    """Opened without a server: where pages cannot fetch, pictures still load."""
    (tmp_path / "sheet.webp").write_bytes(picture(CARDS[0]).getvalue())

    card = {**CARDS[0], "player": CARDS[0]["player"] | {"sheet": "sheet.webp"}}
    page = show(gallery_of([card]), address=tmp_path.as_uri(), hash="#i3d=right")
    page.locator("temporal-mask-player[ready]").wait_for()
    page.get_by_label("Class").select_option("up")
    assert page.url.endswith("page.html#class=up&i3d=right")


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 1200])
def test_it_fits_its_place(show, width):
    name = "Moving something and something so they collide with each other"
    long = card(name, (True, False), (3, 4))
    page = show(gallery_of((long, *CARDS)), viewport={"width": width, "height": 844})
    page.locator("temporal-mask-player[ready]").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_every_control_and_card_has_a_name(show):
    page = show(gallery_of(CARDS))
    controls = page.locator("clip-gallery form").locator("select, input")
    names = controls.evaluate_all("all => all.map(c => c.labels[0]?.textContent.trim())")
    assert len(names) == 8 and all(names)
    headings = page.get_by_role("heading", level=3).all_inner_texts()
    assert headings == [card["label"] for card in CARDS]
    told = page.locator("clip-gallery li").nth(1).inner_text()
    assert "I3D: right, mask length 7 of 16" in told
    assert "C-LSTM: wrong, mask length 5 of 16" in told


@pytest.mark.browser
def test_it_takes_the_colours_of_the_page(show):
    head = "<style>body { background: #111; color: rgb(221, 221, 221) }</style>"
    page = show(gallery_of(CARDS), head=head)
    colour = "element => getComputedStyle(element).color"
    for part in ("select", "input", "h3", "button"):
        assert page.locator(f"clip-gallery {part}").first.evaluate(colour) == "rgb(221, 221, 221)"


@pytest.mark.browser
def test_hostile_text_stays_text(show):
    page = show(hostile())
    page.locator("temporal-mask-player[ready]").wait_for()
    assert page.evaluate("window.hacked") is None
    assert page.get_by_role("heading", level=3).inner_text() == HOSTILE
    page.get_by_label("Class").select_option(HOSTILE)
    assert page.get_by_role("status").inner_text() == "1 of 1 clips"
