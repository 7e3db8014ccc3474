"""Pages in tests: a Chromium, a folder served to it, what goes wrong there, what HTML says."""

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the Chromium of the machine, or else playwright's own.

    Where there is none the test is skipped, and in CI (environment variable CI=true) it fails.
    """
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, NAMES)), None)
        program = found or playwright.chromium.executable_path
        if not Path(program).exists():
            message = "NO BROWSER: install Chromium, or run `playwright install chromium`"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on 127.0.0.1 and yield its address, without a slash at the end."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def watch(page: Page, address: str) -> list[str]:
    """Return a list that fills with the page's errors and its requests to any other address."""
    problems: list[str] = []

    def note_request(url: str) -> None:
        local = urlsplit(url).scheme in ("data", "blob") or url.startswith(f"{address}/")
        if not local:
            problems.append(f"request to another host: {url}")

    def note_response(status: int, url: str) -> None:
        if status >= 400:
            problems.append(f"status {status}: {url}")

    page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
    page.on("request", lambda request: note_request(request.url))
    page.on("websocket", lambda socket: note_request(socket.url.replace("ws", "http", 1)))
    page.on("response", lambda response: note_response(response.status, response.url))
    page.on(
        "console",
        lambda message: (
            problems.append(f"console: {message.text}") if message.type == "error" else None
        ),
    )
    return problems


class Tags(HTMLParser):
    """The names of all tags in HTML, and the value of the last attribute of one name."""

    def __init__(self, text: str, attribute: str):
        super().__init__()
        self.attribute = attribute
        self.tags: list[str] = []
        self.data: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.data = dict(attributes).get(self.attribute, self.data)
