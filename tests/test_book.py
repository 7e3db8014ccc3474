"""The built book in a real browser: every page works, alone and offline."""

import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml
from browser import serve, watch

ROOT = Path(__file__).resolve().parent.parent
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
FILES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
STUDY = [file for file in FILES if file.startswith("notebooks/")]
# Chapters after the first ran on another data set too, as a further part of the book.
FILES += [file.replace("notebooks/", "kth-mini/") for file in STUDY[1:]]
PLAYED = [TOC["root"], "notebooks/04_grad_cam", "notebooks/05_temporal_masks"]
PLAYED += ["kth-mini/05_temporal_masks"]
CHARTED = [
    "notebooks/02_training_i3d",
    "notebooks/03_training_clstm",
    "notebooks/06_comparative_analysis",
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
        [...document.querySelectorAll("temporal-mask-player, plotly-chart")]
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
    page = visit(f"{file}.html", reduced_motion="reduce")  # or the first page begins of itself
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
def test_the_first_page_plays_at_once_unless_less_motion_is_wanted(visit):
    page = visit(f"{TOC['root']}.html")
    page.wait_for_function("document.querySelector('temporal-mask-player').frame >= 3")
    still = visit(f"{TOC['root']}.html", reduced_motion="reduce")
    wait_until_drawn(still)
    still.wait_for_timeout(800)
    assert still.evaluate("document.querySelector('temporal-mask-player').frame") == 0


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


def test_the_second_part_is_on_the_other_set_and_says_so(smoke_book):
    contents = (smoke_book / "book/index.html").read_text(encoding="utf-8")
    assert contents.index("The study on kth-mini") > contents.index("The study")
    for file in STUDY[1:]:
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
