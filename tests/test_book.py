"""The built book in a real browser: every page works, alone and offline."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import jupytext
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from browser import serve, watch

from vidlib.data.index import DataWarning
from vidlib.datasets import DATASETS, DataSet
from vidlib.show import most_harmed
from vidlib.study import open_study

ROOT = Path(__file__).resolve().parent.parent
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
FILES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
ERRATA = "notebooks/07_errata"  # of no data set
STUDY = [file for file in FILES if file.startswith("notebooks/") and file != ERRATA]
# Chapters 2 to 6 ran on another data set too, as a further part of the book.
AGAIN = [file.replace("notebooks/", "kth-mini/") for file in STUDY[1:6]]
FILES += AGAIN
PLAYED = ["notebooks/04_grad_cam", "notebooks/05_temporal_masks", "kth-mini/05_temporal_masks"]
PLAYED += ["notebooks/08_your_own_clip"]
CHARTED = [
    "notebooks/02_training_i3d",
    "notebooks/03_training_clstm",
    "notebooks/06_comparative_analysis",
    ERRATA,
]
TELEPHONE, LAPTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 720}
HEAVIEST = 3_000_000  # bytes of a page with its images, without scripts and styles all pages share


@pytest.fixture(scope="module")
def address(smoke_book):
    with serve(smoke_book) as address:
        yield address


@pytest.fixture(scope="module")
def context(browser):
    """One for all visits, so that what pages share is loaded once."""
    context = browser.new_context()
    context.set_default_timeout(120_000)  # milliseconds, of a machine that does much else
    yield context
    context.close()


@pytest.fixture
def visit(context, address):
    """Open pages of the book; at the end nothing may have gone wrong in them."""
    pages, problems = [], []

    def open_page(path, size=LAPTOP, motion="reduce"):
        page = context.new_page()
        pages.append(page)
        page.set_viewport_size(size)
        page.emulate_media(color_scheme="light", reduced_motion=motion)
        problems.append(watch(page, address))
        page.goto(f"{address}/{path}", wait_until="load")
        wait_until_drawn(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert [problem for of_page in problems for problem in of_page] == []


def wait_until_drawn(page):
    """Wait for all that draws itself: players, charts and equations."""
    page.wait_for_function("""() =>
        [...document.querySelectorAll(
            "temporal-mask-player, temporal-mask-scrubber, plotly-chart")]
            .every(element => element.hasAttribute("ready")) &&
        [...document.querySelectorAll(".math")].every(e => e.querySelector("mjx-container"))
    """)


@pytest.mark.browser
@pytest.mark.parametrize("file", [*FILES, "search"])
def test_a_visit(visit, subtests, file):
    """All that holds for every page, in one visit; what fails is told by its name."""
    page = visit(f"{file}.html", size=TELEPHONE)
    with subtests.test("fits a telephone"):
        assert page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE["width"]
    page.set_viewport_size(LAPTOP)
    if file != "search":
        with subtests.test("is whole"):
            assert page.locator("article h1").count() == 1
            assert page.locator("mjx-merror").count() == 0  # TeX that MathJax could not read
            lost = "[...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
            assert page.evaluate(lost) == []
    code = None if file == "book/add_network" else ".highlight"  # coloured alike on every page
    with subtests.test("shuts no reader out by light"):
        assert page.evaluate(THEME) == "light"
        faults = serious(page, NOT_COLOURS)
        if file not in AGAIN:  # whose colours are those of the same chapters on the first set
            faults += serious(page, COLOURS, without=code)
        assert faults == []
    ticks = page.evaluate(TICKS)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"({THEME}) === 'dark'")
    if file not in AGAIN:
        with subtests.test("shuts no reader out in the dark"):
            assert serious(page, COLOURS, without=code) == []
    with subtests.test("charts are drawn and follow the theme"):
        assert ticks or file not in CHARTED
        for chart in page.locator("plotly-chart").all():
            assert chart.locator("svg.main-svg").count() > 0
            assert chart.get_attribute("aria-label")
        page.wait_for_function(f"light => !light || ({TICKS}) !== light", arg=ticks)
    if file in PLAYED:
        with subtests.test("the player plays and scrubs"):
            play_and_scrub(page)


THEME = "document.documentElement.dataset.theme"
TICKS = "document.querySelector('plotly-chart .xtick text')?.style.fill"


# The rules that look at colours take most of the time, and are all that a theme is about.
BY_COLOUR = ["color-contrast", "link-in-text-block"]
COLOURS = {"runOnly": {"type": "rule", "values": BY_COLOUR}}
NOT_COLOURS = {"rules": {rule: {"enabled": False} for rule in BY_COLOUR}}


def serious(page, rules, without=None):
    """What axe-core finds in a page that is serious or critical: rule and element of each."""
    # preload would load the style sheets' own imports once more, from where they are not.
    options = {"preload": False, "resultTypes": ["violations"], **rules}
    context = {"exclude": [[without]]} if without else None
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in Axe().run(page, context, options).response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def play_and_scrub(page):
    page.emulate_media(reduced_motion="no-preference")
    player = page.locator("temporal-mask-player").first
    player.scroll_into_view_if_needed()
    pictures = """element => [...element.shadowRoot.querySelectorAll("canvas")]
        .map(canvas => canvas.toDataURL())"""
    marker = "element => element.shadowRoot.querySelector('.here')?.getAttribute('x')"
    poster, start = player.evaluate(pictures), player.evaluate(marker)
    player.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('temporal-mask-player').frame >= 2")
    player.get_by_role("button", name="Pause").click()
    assert player.evaluate("element => element.playing") is False
    last = player.get_by_role("slider", name="Frame").get_attribute("max")
    player.get_by_role("slider", name="Frame").fill(last)
    assert player.evaluate("element => element.frame") == int(last)
    assert player.evaluate(pictures)[0] != poster[0]
    if start is not None:
        assert player.evaluate(marker) != start
    player.get_by_role("slider", name="Frame").fill("0")
    assert player.evaluate(pictures) == poster


@pytest.mark.browser
def test_axe_finds_planted_faults(visit):
    page = visit("book/cite.html")

    def found(rules, **more):
        return {fault.partition(":")[0] for fault in serious(page, rules, **more)}

    page.evaluate("document.querySelector('article').append(document.createElement('button'))")
    assert found(NOT_COLOURS) == {"button-name"}
    page.evaluate(
        "document.querySelectorAll('.highlight span').forEach(s => s.style.color = '#eee')"
    )
    assert found(COLOURS) == {"color-contrast"}
    assert found(COLOURS, without=".highlight") == set()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"({THEME}) === 'dark'")
    page.evaluate("document.querySelector('article h1').style.color = '#333'")
    assert found(COLOURS, without=".highlight") == {"color-contrast"}


@pytest.mark.browser
@pytest.mark.parametrize("size", [LAPTOP, TELEPHONE], ids=["laptop", "telephone"])
def test_the_first_page_shows_a_mask_to_drag_without_scrolling(visit, size):
    page = visit(f"{TOC['root']}.html", size)
    for part in ("canvas", ".grip"):
        for place in page.locator(f"temporal-mask-scrubber {part}").all():
            box = place.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
            assert box["y"] + box["height"] <= size["height"]


@pytest.mark.browser
def test_the_first_page_stands_still_if_less_motion_is_wanted_and_answers(visit, smoke_study):
    page = visit(f"{TOC['root']}.html", motion="reduce")
    frame = page.evaluate(FRAME)
    page.wait_for_timeout(800)
    assert page.evaluate(FRAME) == frame
    page.get_by_role("slider", name="first perturbed").press("Home")
    page.get_by_role("slider", name="last perturbed").press("End")
    tried = smoke_study.arrays("search-i3d", "landscapes")
    clip = tried["clips"].tolist().index(most_harmed(smoke_study))
    told = float(page.locator("temporal-mask-scrubber .number").inner_text())
    assert told == pytest.approx(tried["freeze"][clip, 0, -1], abs=5.1e-4)


FRAME = """Number(document.querySelector("temporal-mask-scrubber").firstChild
    .shadowRoot.querySelector("input[type=range]").value)"""


@pytest.mark.browser
def test_the_first_page_plays_at_once(visit):
    page = visit(f"{TOC['root']}.html", motion="no-preference")
    page.wait_for_function(f"start => {FRAME} !== start", arg=page.evaluate(FRAME))


def test_the_gallery_keeps_its_pictures_in_files(smoke_book):
    page = (smoke_book / "book/gallery.html").read_text(encoding="utf-8")
    assert "data:image/webp" not in page
    files = {f"../gallery/{file.name}" for file in (smoke_book / "gallery").iterdir()}
    assert set(re.findall(r"\.\./gallery/\w+\.webp", page)) == files
    assert len(files) == page.count("&quot;player&quot;") > 16


@pytest.mark.browser
def test_the_gallery_loads_what_is_near(visit):
    page = visit("book/gallery.html")
    loaded = """() => performance.getEntriesByType("resource")
        .filter(entry => entry.name.endsWith(".webp")).length"""
    page.locator("clip-gallery temporal-mask-player[ready]").first.wait_for()
    all_clips = page.locator("clip-gallery li").count()
    assert 0 < page.evaluate(loaded) < all_clips / 2
    page.get_by_label("Data set").select_option("kth-mini")
    there = page.locator("clip-gallery li").filter(has_text="kth-mini", visible=True)
    there.first.locator("temporal-mask-player[ready]").wait_for()
    assert page.evaluate(loaded) < all_clips
    linked = visit(f"book/gallery.html{page.evaluate('location.hash')}")
    assert linked.get_by_role("status").inner_text() == f"{there.count()} of {all_clips} clips"


@pytest.mark.browser
def test_equations_are_set_by_the_book_itself(visit, address):
    page = visit("book/paper.html")
    assert page.locator("mjx-container").count() >= 3
    scripts = page.evaluate("[...document.scripts].map(script => script.src)")
    assert any(script.startswith(f"{address}/mathjax/") for script in scripts)


@pytest.mark.browser
def test_search_finds_pages(visit):
    page = visit("search.html?q=freeze")
    page.locator("#search-results li a[href*='paper.html']").first.wait_for()  # among others


@pytest.mark.browser
def test_search_works_from_a_disk_without_any_network(browser, smoke_book):
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(f"{smoke_book.resolve().as_uri()}/{TOC['root']}.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("half-frozen")
    page.keyboard.press("Enter")
    page.locator("#search-results li a[href*='paper.html']").first.wait_for()
    context.close()


def words(command):
    """The words of a shell command."""
    return shlex.split(command.replace("\\\n", " "))


class Command(HTMLParser):
    """The text of the code in a page's box on how to run it again."""

    def __init__(self, text):
        super().__init__()
        self.inside, self.text = False, ""
        self.feed(text.partition('class="rerun admonition"')[2])

    def handle_starttag(self, tag, attributes):
        self.inside = self.inside or (tag == "pre" and not self.text)

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "pre"

    def handle_data(self, data):
        self.text += data if self.inside else ""


@pytest.mark.parametrize("file", [*STUDY, *AGAIN])
def test_every_chapter_tells_the_command_that_made_it(smoke_book, file):
    folder, name = file.split("/")
    command = words(Command((smoke_book / f"{file}.html").read_text(encoding="utf-8")).text)
    dataset = "kth-mini" if folder == "kth-mini" else "something-mini"
    given = {"dataset": dataset, "profile": "smoke"}
    given |= {"model": "i3d"} if name == "08_your_own_clip" else {}
    assert command[:3] == ["papermill", f"notebooks/{name}.ipynb", "out.ipynb"]
    assert set(command[3::3]) == {"-p"}
    assert dict(zip(command[4::3], command[5::3], strict=True)) == given
    assert (ROOT / command[1]).is_file()


def test_a_chapter_of_no_data_set_is_given_none_and_speaks_of_no_stages(smoke_book):
    page = (smoke_book / f"{ERRATA}.html").read_text(encoding="utf-8")
    assert words(Command(page).text) == ["papermill", f"{ERRATA}.ipynb", "out.ipynb"]
    assert "This is how the page was made" in page and "its stages" not in page
    assert not (smoke_book / "kth-mini/07_errata.html").exists()


@pytest.mark.browser
def test_the_command_is_copied_by_keyboard(visit, smoke_book):
    page = visit(f"{STUDY[-1]}.html")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator(".rerun button.copybtn")
    assert button.evaluate("button => getComputedStyle(button).opacity") == "1"
    button.focus()
    page.keyboard.press("Enter")
    text = Command((smoke_book / f"{STUDY[-1]}.html").read_text(encoding="utf-8")).text.strip()
    copied = "async text => (await navigator.clipboard.readText()).trim() === text"
    page.wait_for_function(copied, arg=text)


@pytest.fixture(scope="module")
def build():
    """The module book/build.py."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "book/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_has_every_parameter_quoted(build, tmp_path):
    executed = tmp_path / "executed"
    executed.mkdir()
    given = {"dataset": "something-mini", "profile": "smoke", "size": "(32, 48)", "seed": 1}
    papermill = {"papermill": {"parameters": given, "duration": 12.4}}
    notebook = {"cells": [], "metadata": papermill, "nbformat": 4, "nbformat_minor": 5}
    for page in [TOC["root"], *FILES]:
        (executed / f"{Path(page).name}.ipynb").write_text(json.dumps(notebook))
    build.assemble(executed, tmp_path / "source")
    (box,) = json.loads((tmp_path / f"source/{STUDY[0]}.ipynb").read_text())["cells"]
    assert "in 12 seconds" in box["source"]
    command = words(box["source"].partition("```bash\n")[2].partition("```")[0])
    assert command[:3] == ["papermill", f"{STUDY[0]}.ipynb", "out.ipynb"]
    assert command[3::3] == ["-p"] * 4
    assert dict(zip(command[4::3], command[5::3], strict=True)) == {**given, "seed": "1"}
    (executed / f"{Path(STUDY[0]).name}.ipynb").write_text(json.dumps({**notebook, "metadata": {}}))
    with pytest.raises(ValueError, match=r"01_data_preparation.ipynb was not run by papermill: "):
        build.assemble(executed, tmp_path / "source")


def test_the_data_set_that_a_page_adds_can_be_registered_as_it_says(monkeypatch, tmp_path):
    page, names = jupytext.read(ROOT / "book/add_data_set.md"), {}
    code = [cell.source for cell in page.cells if cell.cell_type == "code"]
    with pytest.warns(DataWarning, match=r"1 files that are no AVI \(first: thumbs.db\)"):
        exec("\n".join(source for source in code if "clips_player" not in source), names)
    reader = type(sys)("vidlib_data_folders")
    reader.read_folders = names["read_folders"]
    monkeypatch.setitem(sys.modules, "vidlib_data_folders", reader)
    monkeypatch.setitem(DATASETS, "folders", DataSet("vidlib_data_folders:read_folders"))
    (tmp_path / "data").mkdir()
    shutil.move(names["root"], tmp_path / "data/folders")
    study = open_study("folders", "smoke", runs=tmp_path / "runs", data=tmp_path / "data")
    with pytest.warns(DataWarning, match="1 files that are no AVI"):
        assert study.clips("validation").outputs.tolist() == [0, 0, 1, 1]
    assert study.clips("train").frames.shape == (8, 16, 32, 32, 3)


def test_the_second_part_is_on_the_other_set_and_says_so(smoke_book):
    contents = (smoke_book / "book/index.html").read_text(encoding="utf-8")
    assert contents.index("The study on kth-mini") > contents.index("The study")
    for file in STUDY[1:6]:
        other = smoke_book / f"{file.replace('notebooks/', 'kth-mini/')}.html"
        assert "(kth-mini)" in other.read_text(encoding="utf-8").partition("</h1>")[0]
        first = (smoke_book / f"{file}.html").read_text(encoding="utf-8")
        assert "(kth-mini)" not in first.partition("</h1>")[0].partition("<h1>")[2]
    masks = Links((smoke_book / "kth-mini/05_temporal_masks.html").read_text(encoding="utf-8"))
    assert "../notebooks/01_data_preparation.html" in masks.links  # this part has no such chapter


def test_a_missing_chapter_is_named(tmp_path):
    command = [sys.executable, ROOT / "book/build.py", "--executed", tmp_path]
    command += ["--out", tmp_path, "--key", "0"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0
    assert "lacks index.ipynb, 01_data_preparation.ipynb" in result.stderr
    assert "execute these notebooks first" in result.stderr


class Links(HTMLParser):
    """Ids and addresses in a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.images = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids |= {values[key] for key in ("id", "name") if values.get(key)}
        self.links |= {values[key] for key in ("href", "src") if values.get(key)}
        if tag == "img":
            self.images.add(values.get("src"))


@cache
def read(path):
    return Links(path.read_text(encoding="utf-8"))


def local(page, link):
    """The file and the anchor that a link within the book leads to, or None."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path, anchor = urldefrag(link)
    target = (page.parent / unquote(urlsplit(path).path)).resolve() if path else page
    return (target / "index.html" if target.is_dir() else target), unquote(anchor)


def test_no_link_within_the_book_is_broken(smoke_book):
    broken = []
    for page in sorted(smoke_book.resolve().rglob("*.html")):
        if "_static" in page.parts:
            continue
        for link in read(page).links:
            target = local(page, link)
            if target is None:
                continue
            file, anchor = target
            lost = (
                anchor and file.suffix == ".html" and file.exists() and anchor not in read(file).ids
            )
            if not file.exists() or lost:
                broken.append(f"{page.name}: {link}")
    assert broken == []


@pytest.mark.parametrize("file", FILES)
def test_no_page_is_heavy(smoke_book, file):
    page = (smoke_book / f"{file}.html").resolve()
    images = {local(page, link) for link in read(page).images if link} - {None}
    weight = page.stat().st_size + sum(image.stat().st_size for image, _ in images)
    assert weight < HEAVIEST
