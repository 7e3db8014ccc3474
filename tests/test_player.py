"""The player: what it packs, and what a browser draws from it."""

import base64
import io
import json

import cv2
import numpy as np
import pandas as pd
import pytest
from browser import Tags, serve, watch
from PIL import Image

from vidlib.data.clips import Clips, Frames
from vidlib.show import Figure, Row, clips_player, overlay, player, upscale

FRAMES = 16
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked=1'>\"&"


def textured(seed, frames=FRAMES, size=(112, 112)):
    """A soft random texture that moves: (T, H, W, 3) uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    still = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 40, 215, cv2.NORM_MINMAX)
    return np.stack([np.roll(still, 2 * t, axis=1) for t in range(frames)])


def coded(column, frames=FRAMES, size=32):
    """Frames of one colour that tells frame and column."""
    clip = np.zeros((frames, size, size, 3), np.uint8)
    for t in range(frames):
        clip[t] = colour(t, column)
    return clip


def colour(t, column):
    return [16 * t, 240 - 15 * t, 60 * column]


def decoded(figure: Figure):
    """The frames of every row and column, cut out of the sheet again."""
    f = figure.figure
    file = io.BytesIO(base64.b64decode(f["sheet"].partition(",")[2]))
    sheet = np.asarray(Image.open(file).convert("RGB"))
    for row in f["rows"]:
        for column in row["columns"]:
            corners = [(n // f["across"], n % f["across"]) for n in column["tiles"]]
            (right, down), (x0, y0) = f["pitch"], f["margin"]
            cut = [(i * down + y0, j * right + x0) for i, j in corners]
            frames = [sheet[y : y + f["height"], x : x + f["width"]] for y, x in cut]
            yield row["title"], column["title"], np.stack(frames)


@pytest.mark.parametrize("size", [(112, 112), (40, 56), (61, 33)])
def test_the_sheet_holds_the_frames(size):
    clips = {"a": textured(1, size=size), "b": textured(2, size=size)}
    figure = player(
        [Row("first", clips), Row("second", {"c": textured(3, size=size)})], caption="c"
    )
    wanted = {("first", "a"): clips["a"], ("first", "b"): clips["b"]}
    wanted["second", "c"] = textured(3, size=size)
    got = {(row, column): frames for row, column, frames in decoded(figure)}
    assert got.keys() == wanted.keys()
    for key, frames in got.items():
        difference = np.abs(frames[:, None].astype(int) - wanted[key][None])
        error = difference.mean(axis=(2, 3, 4))  # of every decoded frame to every given one
        assert error.diagonal().max() < 5, f"{key}: mean error per frame {error.diagonal()}"
        assert (error.argmin(axis=1) == np.arange(FRAMES)).all()


def test_equal_frames_are_stored_once():
    clip = textured(1)
    held = clip.copy()
    held[5:9] = clip[4]  # a hard freeze repeats frames of the original
    rows = [Row(name, {"original": clip, "frozen": held}) for name in ("I3D", "C-LSTM")]
    columns = [
        column["tiles"]
        for row in player(rows, caption="c").figure["rows"]
        for column in row["columns"]
    ]
    assert len({n for tiles in columns for n in tiles}) == FRAMES
    assert columns[0] == columns[2] and columns[1] == columns[3]
    assert columns[1][4:9] == [columns[0][4]] * 5


def test_a_typical_figure_is_light():
    clip = textured(1)
    saliency = textured(2)[..., 0] / 255
    rows = []
    for name, softness in (("I3D", 0.5), ("C-LSTM", 0.8)):
        frozen = [clip[0].astype(float)]
        for frame in clip[1:]:
            frozen.append((1 - softness) * frame + softness * frozen[-1])
        columns = {
            "original": clip,
            "Grad-CAM": overlay(clip, saliency**softness),
            "frozen": np.rint(frozen).astype(np.uint8),
        }
        rows.append(Row(name, columns, np.full(FRAMES, softness), {"OS": 0.9}))
    assert len(player(rows, caption="c")._repr_html_()) < 150_000


def hostile():
    mask = np.ones(FRAMES)
    return player([Row(HOSTILE, {HOSTILE: coded(0)}, mask, {HOSTILE: HOSTILE})], caption=HOSTILE)


def test_text_cannot_break_out_of_the_page():
    page = Tags(hostile()._repr_html_(), "data-figure")
    assert page.tags == ["temporal-mask-player", "p", "script"]
    figure = json.loads(page.data)
    assert figure["caption"] == HOSTILE
    assert figure["rows"][0]["scores"] == [[HOSTILE, HOSTILE]]
    assert figure["rows"][0]["columns"][0]["title"] == HOSTILE


def test_scores_are_shown_as_numbers_or_text():
    scores = {"OS": 0.98765, "P": "moving something up", "RS": float("nan"), "n": np.float32(1)}
    shown = player([Row("r", {"c": coded(0)}, None, scores)], caption="c").figure["rows"][0][
        "scores"
    ]
    assert shown == [["OS", "0.988"], ["P", "moving something up"], ["RS", "–"], ["n", "1.000"]]


CLIP = coded(0)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "rows is empty"),
        ([{"title": "x"}], {}, r"rows\[0\] is a dict: give vidlib.show.Row"),
        ([Row("r", {})], {}, "row 'r' is empty: give at least one clip"),
        ([Row("r", {"c": CLIP / 255})], {}, "column 'c' of row 'r' .* float64: give .* uint8"),
        ([Row("r", {"c": CLIP[..., 0]})], {}, r"column 'c' of row 'r' has shape .*\(T, H, W, 3\)"),
        ([Row("r", {"c": CLIP, "d": CLIP[:8]})], {}, "column 'd' of row 'r' has shape .*one shape"),
        (
            [Row("r", {"c": CLIP}, np.ones(3))],
            {},
            "mask of row 'r' has shape .*one value per frame",
        ),
        ([Row("r", {"c": CLIP}, np.full(FRAMES, 1.1))], {}, r"mask of row 'r' .*outside \[0, 1\]"),
        (
            [Row("r", {"c": CLIP}, np.full(FRAMES, np.nan))],
            {},
            r"mask of row 'r' .*outside \[0, 1\]",
        ),
        ([Row("r", {"c": CLIP})], {"fps": 0}, "fps is 0"),
        ([Row("r", {"c": CLIP})], {"caption": " "}, "caption is empty"),
    ],
)
def test_bad_input_is_named(rows, options, message):
    with pytest.raises(ValueError, match=message):
        player(rows, **{"caption": "c", **options})


def test_overlay_gets_lighter_with_saliency_and_keeps_the_frame_visible():
    clip = np.full((1, 8, 101, 3), 120, np.uint8)
    saliency = np.broadcast_to(np.linspace(0, 1, 101), (1, 8, 101))
    over = overlay(clip, saliency)
    assert over.shape == clip.shape and over.dtype == np.uint8
    light = over[0, 0].astype(float) @ [0.299, 0.587, 0.114]
    assert light[-1] > light[0] + 60
    assert light[-1] == light.max()
    bright = overlay(np.full_like(clip, 220), saliency)
    assert (bright[0, 0].astype(int).sum(1) > over[0, 0].astype(int).sum(1)).all()


@pytest.mark.parametrize(
    ("saliency", "message"),
    [(np.zeros((16, 7, 7)), "resize the maps"), (np.full((16, 32, 32), 2.0), r"outside \[0, 1\]")],
)
def test_overlay_names_bad_saliency(saliency, message):
    with pytest.raises(ValueError, match=message):
        overlay(CLIP, saliency)


def test_upscale_keeps_colours():
    large = upscale(CLIP, (64, 48))
    assert large.shape == (FRAMES, 64, 48, 3)
    assert (large == CLIP[:, :1, :1]).all()


# In the browser -----------------------------------------------------------------------------------

COLUMNS = ["original", "Grad-CAM", "frozen"]


def example(fps=5, offset=0):
    mask = np.linspace(0, 1, FRAMES)
    rows = [
        Row(name, {title: coded(offset + n) for n, title in enumerate(COLUMNS)}, mask, {"OS": 0.5})
        for name in ("I3D", "C-LSTM")
    ]
    return player(rows, caption="Colours that tell the frame.", fps=fps)


@pytest.fixture
def show(browser, tmp_path):
    """Open a page with the given figures; at the end nothing may have gone wrong in it."""
    contexts, problems = [], []
    with serve(tmp_path) as address:

        def open_page(*figures, tail="", **options):
            body = "<p>between</p>".join(figure._repr_html_() for figure in figures)
            icon = '<link rel="icon" href="data:,">'
            text = f"<!doctype html><meta charset='utf-8'>{icon}<body>{body}{tail}"
            (tmp_path / "page.html").write_text(text, encoding="utf-8")
            contexts.append(browser.new_context(**options))
            page = contexts[-1].new_page()
            problems.append(watch(page, address))
            page.goto(f"{address}/page.html")
            page.wait_for_function(
                "n => document.querySelectorAll('temporal-mask-player[ready]').length === n",
                arg=len(figures),
            )
            return page

        yield open_page
        for context in contexts:
            context.close()
    assert [problem for of_page in problems for problem in of_page] == []


# What one figure shows, read in one go: frame, marker and the colours in three places per canvas.
STATE = """element => {
    const root = element.shadowRoot;
    const canvases = [...root.querySelectorAll("canvas")];
    const pixel = (canvas, x, y) =>
        [...canvas.getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3)];
    return {
        frame: element.frame,
        playing: element.playing,
        colours: canvases.map(c => [pixel(c, 0, 0), pixel(c, 16, 16), pixel(c, 31, 31)]),
        markers: [...root.querySelectorAll(".here")].map(m => Number(m.getAttribute("x")) / 10),
        slider: Number(root.querySelector("input").value),
        count: root.querySelector(".count").textContent,
    };
}"""


def state(page, n=0):
    return page.locator("temporal-mask-player").nth(n).evaluate(STATE)


def assert_draws(shown, frame, offset=0):
    """Every canvas, marker and label shows this frame and no other."""
    assert shown["frame"] == frame
    assert shown["slider"] == frame
    assert shown["count"].startswith(f"{frame + 1} / {FRAMES}")
    assert set(shown["markers"]) == {frame}
    assert len(shown["colours"]) == 6
    for n, places in enumerate(shown["colours"]):
        wanted = np.array(colour(frame, offset + n % 3))
        assert np.abs(np.array(places) - wanted).max() <= 5, f"canvas {n}: {places}, not {wanted}"


@pytest.mark.browser
def test_the_first_frame_stands_before_playing(show):
    shown = state(show(example()))
    assert_draws(shown, 0)
    assert not shown["playing"]


@pytest.mark.browser
def test_playing_draws_one_frame_after_another(show):
    page = show(example(fps=20))
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('temporal-mask-player').frame >= 3")
    shown = state(page)
    assert shown["playing"]
    assert_draws(shown, shown["frame"])
    page.get_by_role("button", name="Pause").click()
    stopped = state(page)
    page.wait_for_timeout(200)
    assert state(page) == stopped
    assert not stopped["playing"]


@pytest.mark.browser
def test_playing_loops_and_keeps_its_speed(show):
    page = show(example(fps=4))  # so few that a busy machine, some ms late, is not much too late
    page.get_by_label("Speed").select_option("2")
    frames = page.evaluate("""async () => {
        const element = document.querySelector("temporal-mask-player");
        const seen = [];
        new MutationObserver(() => seen.push([element.frame, performance.now()]))
            .observe(element, {attributeFilter: ["frame"]});
        element.play();
        while (seen.length < 18) await new Promise(done => setTimeout(done, 20));
        return seen;
    }""")
    numbers = [frame for frame, _ in frames]
    assert numbers[:18] == [(n + 1) % FRAMES for n in range(18)]
    seconds = (frames[17][1] - frames[0][1]) / 1000
    assert 0.9 < seconds / (17 / 8) < 1.7  # 2 x 4 frames a second


@pytest.mark.browser
def test_scrubbing_draws_exactly_that_frame(show):
    page = show(example())
    slider = page.get_by_role("slider", name="Frame")
    for frame in [5, 15, 0, 9, *range(FRAMES)]:
        slider.fill(str(frame))
        assert_draws(state(page), frame)


@pytest.mark.browser
def test_the_mask_line_scrubs_and_says_what_is_perturbed(show):
    page = show(example())
    line = page.locator("svg.mask").first
    assert line.get_attribute("aria-label") == "Mask: perturbed in frames 9 to 16"
    assert line.locator(".perturbed").count() == line.locator(".hatch").count() == 8
    assert line.locator(".untouched").count() == 8
    box = line.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 11.5 / FRAMES, box["y"] + 5)
    assert_draws(state(page), 11)


@pytest.mark.browser
def test_keys_step_jump_and_play(show):
    page = show(example())
    page.get_by_role("group", name="Colours that tell the frame.").focus()
    for key, frame in [
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("End", 15),
        ("ArrowRight", 15),
        ("Home", 0),
        ("ArrowLeft", 0),
    ]:
        page.keyboard.press(key)
        assert_draws(state(page), frame)
    page.keyboard.press(" ")
    assert state(page)["playing"]
    page.keyboard.press("ArrowRight")
    assert not state(page)["playing"]


@pytest.mark.browser
def test_figures_on_one_page_are_independent(show):
    page = show(example(), example(offset=1))
    page.get_by_role("slider", name="Frame").nth(1).fill("7")
    assert_draws(state(page, 0), 0)
    assert_draws(state(page, 1), 7, offset=1)
    page.locator("temporal-mask-player").nth(0).evaluate("element => element.play()")
    assert not state(page, 1)["playing"]


@pytest.mark.browser
def test_less_motion_plays_once(show):
    page = show(example(fps=60), reduced_motion="reduce")
    assert not state(page)["playing"]
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('temporal-mask-player').frame === 15")
    page.wait_for_function("!document.querySelector('temporal-mask-player').playing")
    assert_draws(state(page), 15)


@pytest.mark.browser
def test_out_of_sight_it_pauses(show):
    page = show(example(), tail='<div style="height: 5000px"></div>')
    page.locator("temporal-mask-player").evaluate("element => element.play()")
    assert state(page)["playing"]
    page.evaluate("scrollTo(0, 5000)")
    page.wait_for_function("!document.querySelector('temporal-mask-player').playing")


@pytest.mark.browser
def test_hostile_text_stays_text(show):
    page = show(hostile())
    assert page.evaluate("window.hacked") is None
    assert page.locator("figcaption").inner_text() == HOSTILE
    assert page.locator("dd").inner_text() == HOSTILE


def test_clips_of_one_title_are_all_shown_and_numbered():
    names = ["Moving something up"] * 5 + ["Burying it"]
    index = pd.DataFrame({"label": [45] * 5 + [4], "label_name": names})
    frames = np.random.default_rng(0).integers(0, 255, (6, 4, 8, 8, 3), np.uint8)
    clips = Clips(index, Frames(frames.__getitem__, np.arange(6), frames.shape[1:]), [4, 45])
    shown = clips_player(clips, caption="some").figure["rows"]
    titles = [[column["title"] for column in row["columns"]] for row in shown]
    assert titles == [
        [f"Moving it up ({k})" for k in (1, 2, 3, 4)],
        ["Moving it up (5)", "Burying it"],
    ]
    given = clips_player(clips, caption="some", titles=pd.Series(list("abcdea"))).figure["rows"]
    assert [column["title"] for column in given[0]["columns"]] == ["a (1)", "b", "c", "d"]
