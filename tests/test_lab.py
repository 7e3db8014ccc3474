"""Chapter 5 in JupyterLab: run with its kernel, its live scrubber used by mouse and by keys."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import nbformat
import psutil
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from browser import watch
from conftest import ROOT

from vidlib.explain import PERTURBATIONS, freeze, perturb, score_clips
from vidlib.show import TITLES

CHAPTER = "notebooks/05_temporal_masks"
LONG = 600_000  # milliseconds that a busy machine may take for what takes it seconds
# Every Python process of JupyterLab, the kernel included, notes whom it asks for an address.
NOTE_HOSTS = """
import os, sys

def note(event, arguments):
    if event == "socket.getaddrinfo":
        with open(os.environ["HOSTS_ASKED"], "a") as file:
            print(arguments[0], file=file)

sys.addaudithook(note)
"""


def command_of_make_lab():
    """Return the words after `python` in the Makefile's recipe."""
    (line,) = re.findall(r"^lab:.*\n\t@\$\(PY\) (.*)", (ROOT / "Makefile").read_text(), re.M)
    return shlex.split(line)


@pytest.fixture(scope="module")
def server(smoke_study, tmp_path_factory):
    """JupyterLab on a copy of the notebooks, chapter 5 at smoke: its address and its folder."""
    place = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", place / "notebooks")
    shutil.copy(ROOT / "pyproject.toml", place)  # jupytext's settings
    source = place / f"{CHAPTER}.md"
    source.write_text(source.read_text().replace('profile = "quick"', 'profile = "smoke"'))
    (place / "sitecustomize.py").write_text(NOTE_HOSTS)
    (place / "hosts").touch()
    # JupyterLab's question, whether it may fetch news, would lie over the page.
    settings = place / "config/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    answers = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(answers))
    environment = {name: value for name, value in os.environ.items() if "JUPYTER" not in name}
    environment |= {
        "HOME": str(place / "home"),
        "IPYTHONDIR": str(place / "ipython"),
        "JUPYTER_CONFIG_DIR": str(place / "config"),
        "JUPYTER_DATA_DIR": str(place / "data"),
        "HOSTS_ASKED": str(place / "hosts"),
        "PYTHONPATH": os.pathsep.join([str(place), str(ROOT)]),
        "VIDLIB_RUNS": str(smoke_study.runs),
    }
    process = subprocess.Popen(
        [sys.executable, *command_of_make_lab(), "--no-browser", "--allow-root", "--port=0"],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if address := re.search(r"(http://127\.0\.0\.1:\d+)/lab\?token=(\w+)", line):
                break
        else:
            pytest.fail("".join(said))
        threading.Thread(target=process.stdout.read, daemon=True).start()  # or the pipe is full
        yield SimpleNamespace(address=address[1], token=address[2], folder=place)
    finally:
        kernels = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)  # upon which it ends its kernels
        _, alive = psutil.wait_procs([psutil.Process(process.pid), *kernels], timeout=60)
        for one in alive:
            one.kill()
        process.wait()
    assert alive == []
    hosts = set((place / "hosts").read_text().split())
    assert "localhost" in hosts and hosts <= {"localhost", "127.0.0.1"}


def command(page, name):
    """Find a command of JupyterLab in its palette and give it, by keys alone."""
    page.keyboard.press("Control+Shift+C")
    page.locator(".jp-ModalCommandPalette input").wait_for()
    page.keyboard.type(name)
    label = page.locator(".lm-CommandPalette-item.lm-mod-active .lm-CommandPalette-itemLabel")
    label.filter(has_text=re.compile(f"^{name}$")).wait_for()
    page.keyboard.press("Enter")


@pytest.fixture(scope="module")
def lab(server, browser):
    """The page with the chapter run to its end, its live scrubber and the scrubber's cell."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, reduced_motion="reduce")
    context.set_default_timeout(LONG)
    page = context.new_page()
    problems = watch(page, server.address)
    page.goto(f"{server.address}/lab/tree/{CHAPTER}.ipynb?token={server.token}")
    page.get_by_text('profile = "smoke"').wait_for()  # it is the text that is read, not its pair
    page.get_by_text("| Idle").wait_for()
    command(page, "Run All Cells")
    scrubber = page.locator(".jp-OutputArea .widget-vbox")
    failed = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    scrubber.locator("[ready]").or_(failed).first.wait_for(state="attached")
    assert failed.all_inner_texts() == []
    yield SimpleNamespace(
        page=page,
        scrubber=scrubber,
        figure=scrubber.locator("[ready]"),
        cell=page.locator(".jp-CodeCell").filter(has=scrubber),
    )
    context.close()
    assert problems == []


# A bar of the mask is 4 high for 0 and 16 for 1.
STATE = """scrubber => {
    const figure = scrubber.querySelector("[ready]").firstChild.shadowRoot;
    const [clip, target] = [...scrubber.querySelectorAll("select")].map(s => s.selectedIndex);
    const bars = [...figure.querySelectorAll("svg.mask .back + rect")];
    return {
        clip,
        target,
        network: scrubber.querySelector(".widget-toggle-button.mod-active").textContent,
        perturbation: figure.querySelector("[name=perturbation]:checked").value,
        mask: bars.map(bar => (bar.getAttribute("height") - 4) / 12),
    };
}"""


def own_score(study, shown):
    """What the network itself says, by no more than its forward pass."""
    (name,) = (name for name, title in TITLES.items() if title == shown.network)
    clip, _ = study.explained_clips().subset([shown.clip]).batch()
    matrix = PERTURBATIONS[shown.perturbation](torch.tensor([shown.mask], dtype=torch.float32))
    return score_clips(study.network(name), perturb(clip, matrix))[0, shown.target].item()


def most_moved(study, masks):
    """The clip and the network whose score changes most between each of the masks and the next.

    A network that hardly learned hardly minds what it is shown: its score may look the same.
    """
    clips, _ = study.explained_clips().batch()
    least = {}
    for name, title in TITLES.items():
        before = score_clips(study.network(name), clips)
        guess = before.argmax(1, keepdim=True)
        scores = [
            score_clips(study.network(name), perturb(clips, freeze(mask.expand(len(clips), -1))))
            for mask in masks
        ]
        steps = torch.cat([s.gather(1, guess) for s in scores], 1).diff(dim=1).abs().amin(1)
        least |= {(clip, title): step for clip, step in enumerate(steps.tolist())}
    return max(least, key=least.get)


@pytest.fixture
def answer(lab, smoke_study):
    """A function that waits for the answer to what is chosen and holds it against the network's."""

    def read():
        score = float(lab.figure.locator(".number:not(.waiting)").inner_text())
        shown = SimpleNamespace(**lab.scrubber.evaluate(STATE), score=score)
        assert shown.score == pytest.approx(own_score(smoke_study, shown), abs=6e-4)
        return shown

    return read


@pytest.mark.browser
def test_all_cells_ran_and_the_source_is_kept(lab, server):
    source = server.folder / f"{CHAPTER}.md"
    before = source.read_text()
    lab.cell.focus()
    with lab.page.expect_response(lambda r: r.request.method == "PUT" and CHAPTER in r.url):
        lab.page.keyboard.press("Control+s")
    cells = nbformat.read(server.folder / f"{CHAPTER}.ipynb", 4).cells
    run = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in run] == list(range(1, len(run) + 1))
    kinds = {output.output_type for cell in run for output in cell.outputs}
    assert kinds <= {"execute_result", "display_data"}  # no stream: all stages were there
    assert source.read_text() == before


@pytest.mark.browser
def test_values_and_an_end_are_dragged(lab, answer, smoke_study):
    frames = len(answer().mask)
    start, end = torch.zeros(2, frames)
    start[frames // 3 : 2 * frames // 3 + 1] = 1
    end[: frames - 10] = 1
    masks = [start, torch.linspace(0.6, 0.8, frames), end]
    position, network = most_moved(smoke_study, masks)
    lab.scrubber.get_by_role("button", name=network).click()
    lab.scrubber.locator("select").first.select_option(index=position)
    label = smoke_study.explained_clips().index["label_name"].iloc[position]
    lab.figure.get_by_text(label).first.wait_for()
    lab.figure.get_by_text(f"{network}’s score for").wait_for()
    before = answer()
    assert before.mask == start.tolist()
    lab.figure.scroll_into_view_if_needed()
    mouse = lab.page.mouse
    box = lab.figure.locator("svg.mask").bounding_box()
    wide = box["width"] / frames
    mouse.move(box["x"] + 0.5 * wide, box["y"] + 0.4 * box["height"])
    mouse.down()
    mouse.move(box["x"] + box["width"] - 0.5 * wide, box["y"] + 0.2 * box["height"], steps=40)
    mouse.up()
    painted = answer()
    assert painted.mask[0] == pytest.approx(0.6) and painted.mask[-1] == pytest.approx(0.8)
    assert painted.score != before.score
    last = lab.figure.get_by_role("slider", name="last perturbed").bounding_box()
    mouse.move(last["x"] + last["width"] / 2, last["y"] + last["height"] / 2)
    mouse.down()
    mouse.move(last["x"] + last["width"] / 2 - 10 * wide, last["y"], steps=10)
    mouse.up()
    dragged = answer()
    assert dragged.mask == end.tolist()
    assert dragged.score != painted.score


@pytest.mark.browser
def test_by_keyboard_alone(lab, answer, smoke_study):
    press = lab.page.keyboard.press
    cells = lab.page.locator(".jp-Cell")
    count = cells.count()
    lab.cell.focus()
    for _ in range(20):  # first come the cell's own buttons
        if lab.page.evaluate("document.activeElement.closest('.widget-vbox') !== null"):
            break
        press("Tab")
    press("End")
    explained = smoke_study.explained_clips().index["label_name"]
    lab.figure.locator("figcaption").get_by_text(explained.iloc[-1]).wait_for()
    assert answer().clip == len(explained) - 1
    press("Tab")
    press("Tab")
    press("Enter")
    lab.figure.get_by_text("C-LSTM’s score for").wait_for()
    assert answer().network == "C-LSTM"
    press("Tab")
    press("Tab")
    press("ArrowRight")
    assert answer().perturbation == "reverse"
    press("Tab")
    before = answer()
    press("ArrowDown" if before.mask[0] > 0.5 else "ArrowUp")
    assert abs(answer().mask[0] - before.mask[0]) == pytest.approx(0.1, abs=0.025)  # rounded
    press("Tab")
    press("Home")
    press("Tab")
    press("Home")
    press("ArrowRight")
    press("b")  # JupyterLab's key for a new cell
    assert answer().mask == [1.0, 1.0] + [0.0] * (len(before.mask) - 2)
    assert cells.count() == count


@pytest.mark.browser
def test_another_network_is_chosen(lab, answer):
    for title in (*TITLES.values(), *TITLES.values()):
        lab.scrubber.get_by_role("button", name=title).click()
        lab.figure.get_by_text(f"{title}’s score for").wait_for()
        assert answer().network == title


@pytest.mark.browser
def test_the_kernel_works_in_the_background(lab, answer):
    lab.figure.get_by_role("button", name="score every window").click()
    lab.figure.get_by_role("button", name="best window").click()  # which is enabled then
    best = answer()
    lab.figure.get_by_role("button", name="learn from here").click()
    lab.page.wait_for_function(
        f"mask => `${{({STATE})(document.querySelector('.widget-vbox')).mask}}` !== `${{mask}}`",
        arg=best.mask,
    )
    answer()


def faults(page):
    """What axe-core finds in the chapter's figures that is serious or critical."""
    found = Axe().run(page, context=".jp-OutputArea [ready]").response["violations"]
    return [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")]


@pytest.mark.browser
def test_figures_follow_the_theme(lab):
    colour = (
        "document.querySelector('.widget-vbox [ready]').firstChild.shadowRoot.querySelector('p')"
    )
    colour = f"getComputedStyle({colour}).color"
    for theme in ("Dark", "Light"):
        before = lab.page.evaluate(colour)
        lab.cell.focus()
        command(lab.page, f"Use Theme: JupyterLab {theme}")
        lab.page.wait_for_function(f"before => {colour} !== before", arg=before)
        lab.figure.scroll_into_view_if_needed()
        assert faults(lab.page) == []


@pytest.mark.browser
def test_charts_fill_the_width_and_keep_their_height(lab):
    charts = "[...document.querySelectorAll('.jp-RenderedPlotly')]"
    sizes = f"{charts}.map(chart => [chart.clientWidth, chart.clientHeight])"
    drawn = lab.page.evaluate(sizes)
    lab.page.set_viewport_size({"width": 1100, "height": 800})
    lab.page.wait_for_function(
        f"""wide => {charts}.every(chart => chart.clientWidth < wide &&
            Math.abs(chart._fullLayout.width - chart.clientWidth) < 5)""",
        arg=drawn[0][0],
    )
    assert min(height for _, height in drawn + lab.page.evaluate(sizes)) >= 300
