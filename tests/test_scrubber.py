"""The scrubbers: what their tables hold, what a kernel answers, what a browser makes of both."""

import base64
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from browser import Tags, serve, watch
from torch import nn

from vidlib.data.clips import Clips, Frames, to_network
from vidlib.explain import PERTURBATIONS, REORDERINGS, learn_masks, perturb, score_clips
from vidlib.explain.masks import search_masks
from vidlib.show import Answers, mask_scrubber, most_harmed, scrubber_figure
from vidlib.show.scrubber import Scrubber
from vidlib.show.scrubber_figure import scrubber_module

FRAMES = 8
SIZE = 32
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked=1'>\"&"
NAMES = {3: "Moving something up", 7: "Moving something down", 9: "Pretending to take something"}
SEEDS = {"i3d": 0, "clstm": 1}
TITLES = {"i3d": "I3D", "clstm": "C-LSTM"}


def colour(t):
    return [30 * t, 240 - 30 * t, 100]


def coded(offset=0):
    """Frames of one colour each, which tells their number: (T, H, W, 3) uint8."""
    clip = np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8)
    for t in range(FRAMES):
        clip[t] = np.minimum(np.array(colour(t)) + offset, 255)
    return clip


def network(name, frames=FRAMES):
    """A network to which every frame counts, and its place."""
    torch.manual_seed(SEEDS[name])
    linear = nn.Linear(3 * frames, len(NAMES))
    linear.weight.data *= 8
    return nn.Sequential(nn.AdaptiveAvgPool3d((frames, 1, 1)), nn.Flatten(), linear).eval()


class Study:
    """Two clips of three classes, explained by two small networks."""

    profile = SimpleNamespace(mask_l1=0.01, mask_tv=0.02, mask_iterations=30, mask_lr=0.2)
    rendered = True

    def __init__(self, names=NAMES):
        frames = [coded(), coded(offset=40)]
        index = pd.DataFrame({"clip_id": ["a", "b"], "label": [3, 7]})
        index["label_name"] = index["label"].map(names)
        read = frames.__getitem__
        self.clips = Clips(index, Frames(read, np.arange(2), frames[0].shape), list(names))
        self.clips.names = names
        self.batch, _ = self.clips.batch()

    searched = 2

    def explained_clips(self):
        return self.clips

    def network(self, name):
        return network(name)

    def learned(self, name):
        return learn_masks(network(name), self.batch, iterations=20)

    def arrays(self, stage, _name):
        name = stage.partition("-")[2]
        if stage.startswith("explain"):
            return {"mask": self.learned(name).mask.numpy()}
        tables = {}
        for perturbation in REORDERINGS:
            found = search_masks(
                network(name), self.batch, perturbation=PERTURBATIONS[perturbation]
            )
            tables[perturbation] = found.landscape.numpy()[[1, 0]][: self.searched]
        return {"clips": np.array([1, 0])[: self.searched], **tables}

    def table(self, stage, _name):
        net = network(stage.partition("-")[2])
        found = self.learned(stage.partition("-")[2])
        guess = found.targets
        turned = score_clips(net, perturb(self.batch, PERTURBATIONS["reverse"](found.mask)))
        return pd.DataFrame(
            {
                "guess": np.array(list(NAMES))[guess],
                "OS": found.original_score,
                "FS": found.score,
                "RS": turned.gather(1, guess[:, None])[:, 0],
            }
        )


def own_score(name, mask, perturbation, clip=0, target=None):
    """What the network itself says, by no more than its forward pass."""
    x = to_network(coded(offset=40 * clip))[None]
    guess = int(network(name)(x).argmax()) if target is None else target
    matrix = PERTURBATIONS[perturbation](torch.tensor([mask], dtype=torch.float32))
    with torch.no_grad():
        return network(name)(perturb(x, matrix)).softmax(1)[0, guess].item()


def window_mask(first, last, length=FRAMES):
    return [float(first <= t <= last) for t in range(length)]


@pytest.fixture(scope="module")
def study():
    return Study()


@pytest.fixture(scope="module")
def figure(study):
    return mask_scrubber(study, 0)


def table(first=0.5, length=FRAMES, step=1):
    """A landscape whose scores are all different, and fall with the window's length."""
    scores = np.full((length, length), np.nan)
    for a in range(0, length, step):
        for b in range(a + step - 1, length, step):
            scores[a, b] = first - (b - a) / 100 + a / 10_000
    return scores


def answers(network="I3D", guess="up", landscapes=None, **more):
    return Answers(network, guess, 0.9, landscapes or {"freeze": table()}, **more)


# What the tables hold -----------------------------------------------------------------------------


def test_the_tables_hold_every_score_and_order(study, figure):
    shown = figure.figure
    assert shown["perturbations"] == list(REORDERINGS)
    assert shown["windows"] == [[a, b] for a in range(FRAMES) for b in range(a, FRAMES)]
    for name, told in zip(TITLES, shown["networks"], strict=True):
        for perturbation in REORDERINGS:
            landscape = study.arrays(f"search-{name}", "landscapes")[perturbation][1]
            wanted = [landscape[a, b] for a, b in shown["windows"]]
            assert told["tables"][perturbation]["scores"] == pytest.approx(wanted, abs=1e-5)
    order = np.frombuffer(base64.b64decode(shown["orders"]["reverse"]), np.uint8)
    order = order.reshape(-1, FRAMES)[shown["windows"].index([2, 5])]
    assert order.tolist() == [0, 1, 5, 4, 3, 2, 6, 7]
    order = np.frombuffer(base64.b64decode(shown["orders"]["freeze"]), np.uint8)
    assert order.reshape(-1, FRAMES)[shown["windows"].index([2, 5])].tolist() == [
        *(0, 1, 1, 1, 1, 1, 6, 7)
    ]


def test_the_best_window_is_that_of_the_search(study, figure):
    for name, told in zip(TITLES, figure.figure["networks"], strict=True):
        for perturbation in REORDERINGS:
            found = search_masks(
                network(name), study.batch, perturbation=PERTURBATIONS[perturbation]
            )
            first, last = figure.figure["windows"][told["tables"][perturbation]["best"]]
            assert found.mask[0].tolist() == window_mask(first, last)


def test_the_learned_mask_comes_with_its_scores(study, figure):
    for name, told in zip(TITLES, figure.figure["networks"], strict=True):
        mask = study.learned(name).mask[0]
        assert told["learned"]["mask"] == pytest.approx(mask.tolist(), abs=1e-5)
        assert list(told["learned"]["answers"]) == ["freeze", "reverse"]
        for perturbation, answer in told["learned"]["answers"].items():
            wanted = own_score(name, mask.tolist(), perturbation)
            assert answer["score"] == pytest.approx(wanted, abs=1e-4)
            weights = np.frombuffer(base64.b64decode(answer["weights"]), np.uint8) / 255
            matrix = PERTURBATIONS[perturbation](mask[None])[0].numpy()
            assert np.abs(weights.reshape(FRAMES, FRAMES) - matrix).max() <= 0.5 / 255 + 1e-6


def test_a_clip_that_was_not_searched_is_refused():
    study = Study()
    study.searched = 1
    with pytest.raises(ValueError, match=r"position is 0: give one of 1"):
        mask_scrubber(study, 0)


def test_the_most_harmed_clip_loses_most_in_the_network_that_it_harms_less(study):
    least = []
    for position in (0, 1):
        told = mask_scrubber(study, position).figure["networks"]
        least.append(min(n["score"] - min(n["tables"]["freeze"]["scores"]) for n in told))
    assert abs(least[0] - least[1]) > 1e-3
    assert most_harmed(study) == int(np.argmax(least))


def test_windows_that_some_table_lacks_are_null():
    coarse = answers(landscapes={"freeze": table(), "reverse": table(step=2)})
    shown = scrubber_figure(coded(), [coarse], caption="c").figure
    fine, rough = (shown["networks"][0]["tables"][n]["scores"] for n in ("freeze", "reverse"))
    assert None not in fine
    tried = [window for window, score in zip(shown["windows"], rough, strict=True) if score]
    assert tried == [[a, b] for a in range(0, FRAMES, 2) for b in range(a + 1, FRAMES, 2)]


def test_the_figure_is_light():
    rng = np.random.default_rng(0)
    noise = rng.integers(60, 200, (112, 112, 3)).astype(np.uint8)
    still = noise // 2 + noise.mean(axis=(0, 1)).astype(np.uint8) // 2
    clip = np.stack([np.roll(still, t, axis=1) for t in range(32)]) // 8 * 8
    told = [
        answers(
            name,
            landscapes=dict.fromkeys(REORDERINGS, table(length=32, step=2)),
            mask=rng.random(32),
            mask_scores={"freeze": 0.1, "reverse": 0.2},
        )
        for name in ("I3D", "C-LSTM")
    ]
    figure = scrubber_figure(clip, told, caption="c")
    assert len(figure._repr_html_()) - len(figure.figure["sheet"]) < 100_000


def test_the_figure_is_said_in_words():
    said = repr(scrubber_figure(coded(), [answers()], caption="A hand."))
    assert said == (
        "<Figure: A hand. I3D's score for up is 0.900 on the untouched clip, 0.430 with "
        "frames 1 to 8 perturbed by freeze.>"
    )


def test_one_frame_is_said_in_the_singular():
    scores = np.full((FRAMES, FRAMES), np.nan)
    scores[3, 3] = 0.25
    said = scrubber_figure(coded(), [answers(landscapes={"freeze": scores})], caption="c").text
    assert said.endswith("0.250 with frame 4 perturbed by freeze.")


def hostile():
    return scrubber_figure(coded(), [answers(HOSTILE, HOSTILE)] * 2, caption=HOSTILE)


def test_text_cannot_break_out_of_the_page():
    page = Tags(hostile()._repr_html_(), "data-figure")
    assert page.tags == ["temporal-mask-scrubber", "p", "script"]
    shown = json.loads(page.data)
    assert shown["caption"] == shown["networks"][0]["guess"] == HOSTILE


def nan_everywhere():
    return np.full((FRAMES, FRAMES), np.nan)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([], "answers is empty"),
        ([answers(landscapes={"freez": table()})], "perturbation is 'freez' .did you mean"),
        ([answers(landscapes={"blur": table()})], "blur mixes frames: give one that reorders"),
        (
            [answers(), answers("C-LSTM", landscapes={"reverse": table()})],
            "C-LSTM has landscapes of reverse, I3D of freeze: give all networks the same",
        ),
        ([Answers("I3D", "up", 0.9, {})], "landscapes of I3D is empty: give at least one"),
        (
            [answers(landscapes={"freeze": table(length=4)})],
            r"landscape of I3D under freeze has shape \(4, 4\) .*give .* \(8, 8\)",
        ),
        ([answers(landscapes={"freeze": nan_everywhere()})], "has no score: leave"),
        ([answers(landscapes={"freeze": table().T})], "windows that end before they begin"),
        ([answers(landscapes={"freeze": 3 * table()})], r"I3D under freeze .*outside \[0, 1\]"),
        ([Answers("I3D", "up", 1.2, {"freeze": table()})], r"score of I3D .*outside \[0, 1\]"),
        ([answers(mask=np.ones(3))], r"mask of I3D has shape \(3,\) .*give one value per frame"),
        ([answers(mask=np.full(FRAMES, np.nan))], r"mask of I3D has values outside \[0, 1\]"),
        (
            [answers(mask=np.ones(FRAMES), mask_scores={"freeze": 2.0})],
            r"mask of I3D's score under freeze has values outside",
        ),
    ],
)
def test_bad_answers_are_named(told, message):
    with pytest.raises(ValueError, match=message):
        scrubber_figure(coded(), told, caption="c")


@pytest.mark.parametrize(
    ("frames", "caption", "message"),
    [
        (coded() / 255, "c", "frames has .* float64: give .* uint8"),
        (coded(), " ", "caption is empty"),
        (np.zeros((300, 2, 2, 3), np.uint8), "c", "number of frames is 300: give .*at most 256"),
    ],
)
def test_bad_clips_are_named(frames, caption, message):
    with pytest.raises(ValueError, match=message):
        scrubber_figure(frames, [answers()], caption=caption)


# With a kernel ------------------------------------------------------------------------------------


@pytest.fixture
def live(study, one_thread):
    return Scrubber(study)


def test_a_kernel_answers_for_any_mask_and_class(live):
    live.clip.value = 1
    live.network.value = "C-LSTM"
    live.view.perturbation = "blur"
    live.view.mask = mask = [0.0, 0.3, 1.0, 0.7, 0.0, 0.0, 0.2, 0.0]
    wanted = own_score("clstm", mask, "blur", clip=1)
    assert live.score == pytest.approx(wanted, abs=1e-5)
    live.target.value = other = (live.target.value + 1) % len(NAMES)
    wanted = own_score("clstm", mask, "blur", clip=1, target=other)
    assert live.score == pytest.approx(wanted, abs=1e-5)
    assert live.view.answer["score"] == live.score
    assert live.view.answer["mask"] == mask
    matrix = PERTURBATIONS["blur"](torch.tensor([mask]))[0].numpy()
    assert np.allclose(live.view.answer["rows"], matrix, atol=1e-4)
    shown = live.view.figure["networks"][0]
    untouched = own_score("clstm", [0.0] * FRAMES, "freeze", clip=1, target=other)
    assert shown["score"] == pytest.approx(untouched, abs=1e-5)
    assert (shown["title"], shown["guess"]) == ("C-LSTM", live.target.label)


def test_another_clip_or_network_begins_with_its_guess(live):
    x = to_network(coded(offset=40))[None]
    live.target.value = (live.target.value + 1) % len(NAMES)
    live.clip.value = 1
    for name, title in TITLES.items():
        live.network.value = title
        assert live.target.value == int(network(name)(x).argmax())


def test_the_answer_names_the_best_class_now(live):
    mask = window_mask(0, FRAMES - 1)
    live.view.mask = mask
    scores = [own_score("i3d", mask, "freeze", target=k) for k in range(len(NAMES))]
    best = int(np.argmax(scores))
    words = f"Best now: {live.target.options[best][0]}, {max(scores):.3f}"
    assert live.view.answer["note"] == words


def ask(live, what, monkeypatch):
    """Ask as a page does; return the messages that come back."""
    sent = []
    monkeypatch.setattr(live.view, "send", lambda message, buffers=None: sent.append(message))
    live._asked(live.view, {"do": what}, [])
    live.work.join()
    return sent


def test_learning_goes_on_from_the_mask_and_is_told_step_by_step(live, monkeypatch):
    live.view.mask = [0.5] * FRAMES
    (message,) = ask(live, "learn", monkeypatch)
    path = np.array(message["path"])
    found = learn_masks(
        network("i3d"), live._frames, start=torch.full((1, FRAMES), 0.5), iterations=30
    )
    assert np.allclose(path[0], 0.5)
    assert np.allclose(path[-1], found.mask[0].numpy(), atol=1e-6)
    assert 2 < len(path) <= 30 + 2
    assert live.view.busy == ""
    assert (
        live.view.mask == [0.5] * FRAMES
    )  # the page chooses the last when it has shown the others


def test_every_window_is_scored_when_asked_for(live, monkeypatch):
    live.view.perturbation = "reverse"
    assert live.view.landscape == {}
    ask(live, "search", monkeypatch)
    found = search_masks(network("i3d"), live._frames, perturbation=PERTURBATIONS["reverse"])
    wanted = [found.landscape[0, a, b].item() for a, b in live.windows]
    assert live.view.landscape["scores"] == pytest.approx(wanted, abs=1e-5)
    first, last = live.windows[live.view.landscape["best"]]
    assert found.mask[0].tolist() == window_mask(first, last)
    live.view.perturbation = "freeze"
    assert live.view.landscape == {}  # the scores were those of another question


def test_what_is_found_for_another_question_is_not_shown(live, monkeypatch):
    sent = []
    monkeypatch.setattr(live.view, "send", lambda message, buffers=None: sent.append(message))
    found = learn_masks(network("i3d"), live._frames, iterations=1)

    def meanwhile():
        live.network.value = "C-LSTM"
        return found

    live._run(meanwhile, live._question)
    assert sent == []
    live._run(lambda: found, live._question)
    assert len(sent) == 1


def test_one_thing_is_done_at_a_time(live):
    live.view.busy = "search"
    live._asked(live.view, {"do": "learn"}, [])
    assert live.work is None


def test_an_unknown_perturbation_is_refused(live):
    with pytest.raises(Exception, match="freez"):
        live.view.perturbation = "freez"


# In the browser -----------------------------------------------------------------------------------


@pytest.fixture
def show(browser, tmp_path):
    """Open a page with the given HTML; at the end nothing may have gone wrong in it."""
    contexts, problems = [], []
    with serve(tmp_path) as address:

        def open_page(*figures, style="", tail="", **options):
            body = "<p>between</p>".join(figures)
            head = (
                "<!doctype html><html lang='en'><meta charset='utf-8'><title>t</title>"
                "<meta name='viewport' content='width=device-width'>"
                "<link rel='icon' href='data:,'>"
            )
            text = f"{head}<body style='{style}'><main>{body}{tail}</main>"
            (tmp_path / "page.html").write_text(text, encoding="utf-8")
            contexts.append(browser.new_context(**options))
            page = contexts[-1].new_page()
            problems.append(watch(page, address))
            page.goto(f"{address}/page.html")
            page.wait_for_function(
                "n => document.querySelectorAll('[ready]').length === n", arg=len(figures)
            )
            return page

        yield open_page
        for context in contexts:
            context.close()
    assert [problem for of_page in problems for problem in of_page] == []


@pytest.fixture
def still(show, figure):
    """A page of one scrubber that does not begin to play of itself."""
    return show(figure._repr_html_(), reduced_motion="reduce")


STATE = """element => {
    const root = element.firstChild.shadowRoot;
    const now = grip => Number(grip.getAttribute("aria-valuenow"));
    const pixel = canvas =>
        [...canvas.getContext("2d").getImageData(16, 16, 1, 1).data.slice(0, 3)];
    return {
        window: [...root.querySelectorAll(".grip")].map(grip => now(grip) - 1),
        number: Number(root.querySelector(".number").textContent),
        score: element.model.get("answer").score,
        perturbation: root.querySelector("[role=radiogroup]:last-of-type input:checked").value,
        colours: [...root.querySelectorAll("canvas")].map(pixel),
        frame: Number(root.querySelector("input[type=range]").value),
        shows: [...root.querySelectorAll(".shows span")].map(span => Number(span.textContent) - 1),
        bars: root.querySelectorAll("svg.mask .perturbed").length,
    };
}"""


def state(page, n=0):
    return page.locator("temporal-mask-scrubber").nth(n).evaluate(STATE)


def assert_tells(page, name, perturbation, window):
    """The window is shown, with the network's own score of it, and the frame that it leads to."""
    shown = state(page)
    wanted = own_score(name, window_mask(*window), perturbation)
    assert shown["window"] == list(window)
    assert shown["bars"] == window[1] - window[0] + 1
    assert shown["perturbation"] == perturbation
    assert shown["score"] == pytest.approx(wanted, abs=1e-5)
    assert shown["number"] == pytest.approx(wanted, abs=5.1e-4)
    matrix = PERTURBATIONS[perturbation](torch.tensor([window_mask(*window)]))[0]
    order = matrix.argmax(1).tolist()
    assert shown["shows"] == order
    wanted = np.array([colour(shown["frame"]), colour(order[shown["frame"]])])
    assert np.abs(np.array(shown["colours"]) - wanted).max() <= 5


def handles(page):
    return [page.get_by_role("slider", name=f"{end} perturbed") for end in ("first", "last")]


def drag(page, handle, frame, to):
    """Drag a handle, which is at one frame, by its middle to another frame."""
    box = page.locator("svg.mask").bounding_box()
    grip = handle.bounding_box()
    y = grip["y"] + grip["height"] / 2
    x = grip["x"] + grip["width"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + (to - frame) * box["width"] / FRAMES / 2, y)
    page.mouse.move(x + (to - frame) * box["width"] / FRAMES, y + 30)
    page.mouse.up()


@pytest.mark.browser
def test_it_begins_with_the_best_window(still, figure):
    best = figure.figure["networks"][0]["tables"]["freeze"]["best"]
    assert_tells(still, "i3d", "freeze", figure.figure["windows"][best])
    assert still.get_by_role("button", name="best window").get_attribute("aria-pressed") == "true"


@pytest.mark.browser
def test_ten_scores_are_the_networks_own(still):
    first, last = handles(still)
    seen = 0
    for name, title in TITLES.items():
        still.get_by_role("radio", name=title).check(force=True)
        for perturbation in REORDERINGS:
            still.get_by_role("radio", name=perturbation.replace("_", " ")).check(force=True)
            window = (seen % 4, 5 + seen % 3)
            now = state(still)["window"]
            drag(still, first, now[0], 0)
            drag(still, last, now[1], window[1])
            drag(still, first, 0, window[0])
            assert_tells(still, name, perturbation, window)
            seen += 1
    assert seen == 10


@pytest.mark.browser
def test_an_end_stops_at_the_other_and_at_the_clips(still):
    first, last = handles(still)
    drag(still, first, state(still)["window"][0], -5)
    drag(still, last, state(still)["window"][1], FRAMES + 4)
    assert_tells(still, "i3d", "freeze", (0, FRAMES - 1))
    drag(still, last, FRAMES - 1, 3)
    drag(still, first, 0, 7)
    assert_tells(still, "i3d", "freeze", (3, 3))


@pytest.mark.browser
def test_the_window_is_dragged_as_a_whole_and_its_ends_by_a_press(still):
    box = still.locator("svg.mask").bounding_box()
    wide = box["width"] / FRAMES

    def press(frames, to=None):
        still.mouse.move(box["x"] + frames * wide, box["y"] + 10)
        still.mouse.down()
        if to is not None:
            still.mouse.move(box["x"] + to * wide, box["y"] + 10)
        still.mouse.up()

    press(0.1)
    press(7.9)
    press(0.1, 1.1)
    press(7.9, 5.1)
    assert_tells(still, "i3d", "freeze", (1, 4))
    press(3, 4.9)
    assert_tells(still, "i3d", "freeze", (3, 6))
    press(5, 30)
    assert_tells(still, "i3d", "freeze", (4, 7))


@pytest.mark.browser
def test_by_keyboard_alone(still, figure):
    first, last = figure.figure["windows"][figure.figure["networks"][0]["tables"]["freeze"]["best"]]
    press = still.keyboard.press
    focus = "document.activeElement.shadowRoot.activeElement"
    press("Tab")
    press("ArrowRight")
    assert still.evaluate(f"{focus}.name") == "network"
    press("Tab")
    press("ArrowRight")
    assert_tells(still, "clstm", "reverse", (first, last))
    press("Tab")
    press("Home")
    assert still.evaluate(f"{focus}.getAttribute('aria-valuetext')") == f"frame 1 of {FRAMES}"
    press("ArrowRight")
    assert_tells(still, "clstm", "reverse", (1, last))
    press("Tab")
    press("End")
    press("ArrowLeft")
    press("ArrowDown")
    assert_tells(still, "clstm", "reverse", (1, FRAMES - 3))
    assert state(still)["frame"] == FRAMES - 3  # the end that was moved is in sight
    press("Tab")
    press("Enter")
    assert still.get_by_role("button", name="learned mask").get_attribute("aria-pressed") == "true"
    for _ in range(5):
        press("Tab")
    assert still.evaluate(f"{focus}.getAttribute('role')") == "application"
    before = state(still)["window"]
    press("ArrowLeft" if before[0] else "ArrowRight")
    moved = state(still)["window"]
    assert moved[1] == before[1] and abs(moved[0] - before[0]) == 1
    press("ArrowDown" if moved[1] > moved[0] else "ArrowUp")
    assert abs(state(still)["window"][1] - moved[1]) == 1
    assert still.evaluate(f"{focus}.getAttribute('role')") == "application"


@pytest.mark.browser
def test_the_landscape_is_clicked_and_dragged(still):
    box = still.locator("svg.map g").first.bounding_box()
    side = box["width"] / FRAMES

    def place(first, last):
        return box["x"] + (first + 0.5) * side, box["y"] + box["height"] - (last + 0.5) * side

    still.mouse.click(*place(2, 4))
    assert_tells(still, "i3d", "freeze", (2, 4))
    still.mouse.move(*place(1, 6))
    still.mouse.down()
    still.mouse.move(*place(1, 5))
    still.mouse.move(*place(3, 5))
    assert_tells(still, "i3d", "freeze", (3, 5))
    still.mouse.move(*place(7, 2))  # of no window: the nearest
    still.mouse.up()
    first, last = state(still)["window"]
    assert first == last
    label = still.locator("svg.map").get_attribute("aria-label")
    assert label.endswith(f"chosen: frame {first + 1}")


@pytest.mark.browser
def test_the_learned_mask_shows_its_bars_mixture_and_score(still, study):
    for name, title in TITLES.items():
        still.get_by_role("radio", name=title).check(force=True)
        if name == "i3d":  # the other network's own mask then comes of itself
            still.get_by_role("button", name="learned mask").click()
        mask = study.learned(name).mask[0]
        for perturbation in ("reverse", "freeze"):
            still.get_by_role("radio", name=perturbation).check(force=True)
            wanted = own_score(name, mask.tolist(), perturbation)
            assert state(still)["score"] == pytest.approx(wanted, abs=1e-4)
        assert state(still)["bars"] == int((mask > 0.5).sum())
        matrix = PERTURBATIONS["freeze"](mask[None])[0].numpy()
        for t in range(FRAMES):
            still.get_by_role("slider", name="Frame", exact=True).fill(str(t))
            mixed = matrix[t] @ np.array([colour(s) for s in range(FRAMES)])
            assert np.abs(np.array(state(still)["colours"][1]) - mixed).max() <= 8
    still.get_by_role("radio", name="shuffle").check(force=True)  # under which it has no score
    assert still.get_by_role("button", name="learned mask").is_disabled()
    first, last = state(still)["window"]
    assert_tells(still, "clstm", "shuffle", (first, last))


@pytest.mark.browser
def test_windows_without_a_score_give_way_to_the_nearest(show):
    coarse = answers(landscapes={"freeze": table(), "reverse": table(step=2)})
    html = scrubber_figure(coded(), [coarse], caption="c")._repr_html_()
    page = show(html, reduced_motion="reduce")
    first, _ = handles(page)
    first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert state(page)["window"] == [3, 7]
    page.get_by_role("radio", name="reverse").check(force=True)
    assert state(page)["window"] in ([2, 7], [4, 7])
    first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert state(page)["window"] == [2, 7]
    drag(page, first, 2, 5)
    assert state(page)["window"] in ([4, 7], [6, 7])
    assert page.locator("svg.map .window").count() == 10


@pytest.mark.browser
def test_it_plays_once_it_is_touched_until_it_is_paused(show, figure):
    page = show(figure._repr_html_())
    playing = page.get_by_role("button", name="Pause")
    assert playing.count() == 0
    page.get_by_role("radio", name="reverse").check(force=True)
    page.wait_for_function(
        "document.querySelector('[ready]').firstChild.shadowRoot"
        ".querySelector('input[type=range]').value >= 2"
    )
    playing.click()
    page.get_by_role("radio", name="freeze").check(force=True)
    assert playing.count() == 0
    page.get_by_role("button", name="Play").click()
    assert playing.count() == 1


@pytest.mark.browser
def test_it_plays_of_itself_where_that_is_wanted(show, study):
    html = mask_scrubber(study, 0, autoplay=True)._repr_html_()
    assert show(html).get_by_role("button", name="Pause").count() == 1
    still = show(html, reduced_motion="reduce")
    assert still.get_by_role("button", name="Pause").count() == 0


@pytest.mark.browser
def test_out_of_sight_it_pauses(show, figure):
    page = show(figure._repr_html_(), tail='<div style="height: 5000px"></div>')
    page.get_by_role("button", name="Play").click()
    page.evaluate("scrollTo(0, 5000)")
    page.get_by_role("button", name="Play").wait_for(state="attached")


@pytest.mark.browser
def test_figures_on_one_page_are_independent_and_come_back(show, figure):
    page = show(figure._repr_html_(), figure._repr_html_(), reduced_motion="reduce")
    before = state(page, 1)
    page.get_by_role("radio", name="C-LSTM").first.check(force=True)
    page.get_by_role("radio", name="shuffle").first.check(force=True)
    assert state(page, 0)["perturbation"] == "shuffle"
    assert state(page, 1) == before
    changed = state(page, 0)
    page.evaluate("document.querySelector('main').append(document.querySelector('[ready]'))")
    page.wait_for_function("document.querySelectorAll('[ready]').length === 2")
    moved = state(page, 1)
    assert (moved["window"], moved["score"]) == (changed["window"], changed["score"])


@pytest.mark.browser
def test_hostile_text_stays_text(show):
    page = show(hostile()._repr_html_(), reduced_motion="reduce")
    page.get_by_role("radio").nth(1).check(force=True)
    assert page.evaluate("window.hacked") is None
    assert page.locator("figcaption").inner_text() == HOSTILE
    assert HOSTILE in page.locator(".said b").inner_text()


@pytest.mark.browser
def test_without_scripts_it_says_what_it_would_show(browser, figure):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(figure._repr_html_())
    assert page.locator("temporal-mask-scrubber p").inner_text() == figure.text
    context.close()


DARK = "background: #14181e; color: #ced6dd"


@pytest.mark.browser
@pytest.mark.parametrize("style", ["", DARK], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_it_fits_and_is_accessible(show, figure, style, width):
    from axe_playwright_python.sync_playwright import Axe

    page = show(
        figure._repr_html_(),
        style=style,
        viewport={"width": width, "height": 800},
        reduced_motion="reduce",
        has_touch=width == 360,
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    for grip in page.locator(".grip").all():
        box = grip.bounding_box()
        assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, target size


@pytest.mark.browser
def test_it_is_scrubbed_by_touch(show, figure):
    page = show(
        figure._repr_html_(),
        viewport={"width": 360, "height": 800},
        has_touch=True,
        reduced_motion="reduce",
    )
    box = page.locator("svg.map g").first.bounding_box()
    side = box["width"] / FRAMES
    page.touchscreen.tap(box["x"] + 2.5 * side, box["y"] + box["height"] - 5.5 * side)
    assert_tells(page, "i3d", "freeze", (2, 5))
    box = page.locator("svg.mask").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 7.9 / FRAMES, box["y"] + 10)
    assert_tells(page, "i3d", "freeze", (2, 7))


# In the browser, with a kernel --------------------------------------------------------------------

# A model whose attributes are those of the MaskView in Python, as JupyterLab's would be.
BRIDGE = """<div id="live"></div><script type="module">
    const state = %s;
    const listeners = {};
    const changed = {};
    const fire = (event, ...data) =>
        (listeners[event] ?? []).forEach(listener => listener(...data));
    const model = {
        get: name => state[name],
        set(name, value) { state[name] = changed[name] = value; fire(`change:${name}`); },
        on(event, listener) { (listeners[event] ??= []).push(listener); },
        off() {},
        async save_changes() {
            const told = { ...changed };
            for (const name of Object.keys(changed)) delete changed[name];
            window.take(await window.tell(told));
        },
        send: message => window.ask(message.do),
    };
    const text = value => JSON.stringify(value);
    window.take = news => {
        const fresh = Object.keys(news).filter(name => text(news[name]) !== text(state[name]));
        Object.assign(state, news);
        for (const name of fresh) fire(`change:${name}`);
    };
    window.message = content => fire("msg:custom", content);
    window.read = name => state[name];
    const url = URL.createObjectURL(new Blob([%s], { type: "text/javascript" }));
    (await import(url)).default.render({ model, el: document.getElementById("live") });
</script>"""
SYNCED = ["live", "network", "figure", "perturbation", "mask", "answer", "landscape", "busy"]


@pytest.fixture
def lab(show, live, browser, monkeypatch, tmp_path):
    """A page in which the one module is driven by a real Scrubber."""
    sent = []
    monkeypatch.setattr(live.view, "send", lambda message, buffers=None: sent.append(message))

    def traits():
        return {name: getattr(live.view, name) for name in SYNCED}

    def tell(changes):
        for name, value in changes.items():
            setattr(live.view, name, value)
        return {name: value for name, value in traits().items() if name not in changes}

    def ask(what):
        live._asked(live.view, {"do": what}, [])

    def bring():
        """Wait for the background, and tell the page what came of it."""
        live.work.join()
        page.evaluate("news => take(news)", traits())
        for message in sent:
            page.evaluate("content => message(content)", message)
        sent.clear()

    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    problems = watch(page, "no address")
    page.expose_function("tell", tell)
    page.expose_function("ask", ask)
    module = json.dumps(scrubber_module()).replace("</", "<\\/")
    data = json.dumps(traits()).replace("</", "<\\/")
    page.set_content(BRIDGE % (data, module))
    page.locator("#live[ready]").wait_for()
    yield SimpleNamespace(page=page, live=live, traits=traits, bring=bring)
    context.close()
    assert problems == []


def number(page):
    return float(page.locator(".number:not(.waiting)").inner_text())


@pytest.mark.browser
def test_live_values_are_drawn_and_scored(lab):
    box = lab.page.locator("svg.mask").bounding_box()
    wide = box["width"] / FRAMES
    lab.page.mouse.move(box["x"] + 0.5 * wide, box["y"] + box["height"] * 0.7)
    lab.page.mouse.down()
    lab.page.mouse.move(box["x"] + 1.5 * wide, box["y"] + box["height"] * 0.4)
    lab.page.mouse.up()
    wanted = window_mask(FRAMES // 3, 2 * FRAMES // 3)
    wanted[0], wanted[1] = 0.3, 0.6
    lab.page.wait_for_function("() => read('answer').mask[1] === 0.6")
    assert lab.live.view.mask == pytest.approx(wanted)
    assert number(lab.page) == pytest.approx(own_score("i3d", wanted, "freeze"), abs=5.1e-4)
    bars = lab.page.get_by_role("slider", name="value of the mask")
    assert bars.get_attribute("aria-valuetext") == "frame 2: 0.60"
    bars.focus()
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("ArrowLeft")
    lab.page.keyboard.press("ArrowUp")
    lab.page.wait_for_function("() => read('answer').mask[0] === 0.4")
    assert lab.live.view.mask[:2] == [0.4, 0.5]


@pytest.mark.browser
def test_live_any_perturbation(lab):
    for perturbation in PERTURBATIONS:
        name = perturbation.replace("_", " ")
        lab.page.get_by_role("radio", name=name).check(force=True)
        lab.page.wait_for_function(f"() => read('answer').perturbation === '{perturbation}'")
        wanted = own_score("i3d", lab.live.view.mask, perturbation)
        assert number(lab.page) == pytest.approx(wanted, abs=5.1e-4)
    first, _ = handles(lab.page)
    first.focus()
    lab.page.keyboard.press("ArrowRight")
    lab.page.wait_for_function("() => read('answer').mask[2] === 0")
    assert lab.live.view.mask == window_mask(FRAMES // 3 + 1, 2 * FRAMES // 3)


@pytest.mark.browser
def test_live_learning_ends_at_the_learned_mask(lab):
    lab.page.get_by_role("button", name="learn from here").click()
    lab.bring()
    start = torch.tensor([window_mask(FRAMES // 3, 2 * FRAMES // 3)])
    found = learn_masks(network("i3d"), lab.live._frames, start=start, iterations=30)
    wanted = found.mask[0].tolist()
    lab.page.wait_for_function(
        "last => read('answer').mask.every((m, t) => Math.abs(m - last[t]) < 1e-6)", arg=wanted
    )
    assert lab.live.score == pytest.approx(found.score[0].item(), abs=1e-5)


@pytest.mark.browser
def test_live_every_window_is_scored_and_then_chosen(lab):
    assert lab.page.locator("svg.map").count() == 0
    assert lab.page.get_by_role("button", name="best window").is_disabled()
    lab.page.get_by_role("button", name="score every window").click()
    lab.bring()
    lab.page.get_by_role("button", name="best window").click()
    found = search_masks(network("i3d"), lab.live._frames)
    wanted = found.mask[0].tolist()
    lab.page.wait_for_function("mask => `${read('answer').mask}` === `${mask}`", arg=wanted)
    assert number(lab.page) == pytest.approx(found.score[0].item(), abs=5.1e-4)


@pytest.mark.browser
def test_live_another_clip_and_network(lab):
    lab.live.clip.value = 1
    lab.live.network.value = "C-LSTM"
    lab.page.evaluate("news => take(news)", lab.traits())
    assert "C-LSTM’s score for" in lab.page.locator(".said").inner_text()
    assert number(lab.page) == pytest.approx(lab.live.score, abs=5.1e-4)
    wanted = own_score("clstm", lab.live.view.mask, "freeze", clip=1)
    assert lab.live.score == pytest.approx(wanted, abs=1e-5)
