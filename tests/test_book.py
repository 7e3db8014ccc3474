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
HEAVIEST = 3_000_000  # bytes of a page with its images, without scripts and styles all pages share


@pytest.fixture(scope="module")
def address(smoke_book):
    with serve(smoke_book) as address:
        yield address


@pytest.fixture
def visit(browser, address):
    """Open pages of the book; at the end nothing may have gone wrong in them."""
    contexts, problems = [], []

    def open_page(path, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        problems.append(watch(page, address))
        page.goto(f"{address}/{path}", wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()
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
@pytest.mark.parametrize("file", FILES)
def test_every_page_opens_clean(visit, file):
    page = visit(f"{file}.html")
    wait_until_drawn(page)
    assert page.locator("article h1").count() == 1
    assert page.locator("mjx-merror").count() == 0  # TeX that MathJax could not read
    broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
    assert broken == []


@pytest.mark.browser
@pytest.mark.parametrize("file", FILES)
def test_every_page_fits_a_telephone(visit, file):
    page = visit(f"{file}.html", viewport={"width": 390, "height": 844})
    wait_until_drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
@pytest.mark.parametrize("file", PLAYED)
def test_players_play_and_scrub(visit, file):
    page = visit(f"{file}.html")
    wait_until_drawn(page)
    player = page.locator("temporal-mask-player").first
    player.scroll_into_view_if_needed()
    pictures = """element => [...element.shadowRoot.querySelectorAll("canvas")]
        .map(canvas => canvas.toDataURL())"""
    marker = "element => element.shadowRoot.querySelector('.here')?.getAttribute('x')"
    poster, start = player.evaluate(pictures), player.evaluate(marker)
    player.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('temporal-mask-player').frame >= 2")
    player.get_by_role("button", name="Pause").click()
    assert player.evaluate(pictures)[0] != poster[0]
    last = player.get_by_role("slider", name="Frame").get_attribute("max")
    player.get_by_role("slider", name="Frame").fill(last)
    assert player.evaluate("element => element.frame") == int(last)
    assert player.evaluate(pictures)[0] != poster[0]
    if start is not None:
        assert player.evaluate(marker) != start
    player.get_by_role("slider", name="Frame").fill("0")
    assert player.evaluate(pictures) == poster


@pytest.mark.browser
@pytest.mark.parametrize("size", [(1280, 720), (390, 844)], ids=["laptop", "telephone"])
def test_the_first_page_shows_a_mask_to_drag_without_scrolling(visit, size):
    width, height = size
    page = visit(f"{TOC['root']}.html", viewport={"width": width, "height": height})
    wait_until_drawn(page)
    for part in ("canvas", ".grip"):
        for place in page.locator(f"temporal-mask-scrubber {part}").all():
            box = place.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height


@pytest.mark.browser
def test_the_first_page_plays_at_once_unless_less_motion_is_wanted(visit):
    frame = """() => Number(document.querySelector("temporal-mask-scrubber").firstChild
        .shadowRoot.querySelector("input[type=range]").value)"""
    page = visit(f"{TOC['root']}.html")
    wait_until_drawn(page)
    start = page.evaluate(frame)
    page.wait_for_function(f"start => ({frame})() !== start", arg=start)
    still = visit(f"{TOC['root']}.html", reduced_motion="reduce")
    wait_until_drawn(still)
    start = still.evaluate(frame)
    still.wait_for_timeout(800)
    assert still.evaluate(frame) == start


@pytest.mark.browser
def test_the_first_page_answers_with_the_networks_score(visit, smoke_study):
    page = visit(f"{TOC['root']}.html")
    wait_until_drawn(page)
    page.get_by_role("slider", name="first perturbed").press("Home")
    page.get_by_role("slider", name="last perturbed").press("End")
    tried = smoke_study.arrays("search-i3d", "landscapes")
    clip = tried["clips"].tolist().index(most_harmed(smoke_study))
    told = float(page.locator("temporal-mask-scrubber .number").inner_text())
    assert told == pytest.approx(tried["freeze"][clip, 0, -1], abs=5.1e-4)


@pytest.mark.browser
@pytest.mark.parametrize("file", CHARTED)
def test_charts_are_drawn_and_follow_the_theme(visit, file):
    page = visit(f"{file}.html")
    wait_until_drawn(page)
    chart = page.locator("plotly-chart").first
    assert chart.locator("svg.main-svg").count() > 0
    assert chart.get_attribute("aria-label")
    tick = "() => document.querySelector('plotly-chart .xtick text').style.fill"
    light = page.evaluate(tick)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"light => ({tick})() !== light", arg=light)


def test_the_gallery_keeps_its_pictures_in_files(smoke_book):
    page = (smoke_book / "book/gallery.html").read_text(encoding="utf-8")
    assert "data:image/webp" not in page
    files = {f"../gallery/{file.name}" for file in (smoke_book / "gallery").iterdir()}
    assert set(re.findall(r"\.\./gallery/\w+\.webp", page)) == files
    assert len(files) == page.count("&quot;figure&quot;") > 16


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
    wait_until_drawn(page)
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


def serious(page):
    """What axe-core finds in a page that is serious or critical: rule and element of each."""
    # It would load the style sheets' own imports once more, from where they are not.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("file", [*FILES, "search"])
def test_no_page_shuts_readers_out(visit, file, theme):
    page = visit(f"{file}.html", color_scheme=theme, reduced_motion="reduce")
    wait_until_drawn(page)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert serious(page) == []


@pytest.mark.browser
def test_axe_finds_a_planted_fault(visit):
    page = visit("book/cite.html")
    page.evaluate("document.querySelector('article').append(document.createElement('button'))")
    assert serious(page) == ["button-name: <button></button>"]


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
    page = visit(f"{STUDY[-1]}.html", permissions=["clipboard-read", "clipboard-write"])
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
    command = [sys.executable, ROOT / "book/build.py", "--executed", tmp_path, "--out", tmp_path]
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
