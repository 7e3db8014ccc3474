"""Build the book: ``python book/build.py --executed DIR --out DIR``.

DIR of ``--executed`` holds the notebooks that papermill has run: one for every page of
``_toc.yml`` that has code cells; in folders of their own, called after other data sets, those that
it has run on these, each folder a further part of the book. Under ``--out`` appear
``source/``, the tree that is built, and ``html/``, the book. Every warning of Sphinx is an error:
then the exit status is not zero and an earlier ``html/`` stays as it was.
"""

import argparse
import base64
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import plotly
import yaml

from vidlib.datasets import DATASETS
from vidlib.files import publish, write_text
from vidlib.workflow.machine import measured

ROOT = Path(__file__).resolve().parent.parent
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def assemble(executed: Path, source: Path) -> None:
    """Lay out in ``source`` all that jupyter-book reads, replacing what was there.

    Raises ValueError that lists the executed notebooks that are missing.
    """
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    pages = [page for page in (toc["root"], *files) if _has_code(page)]
    missing = [page for page in pages if not _run_of(executed, page).is_file()]
    if missing:
        names = ", ".join(_run_of(executed, page).name for page in missing)
        raise ValueError(f"{executed} lacks {names}: execute these notebooks first")
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "book", source / "book", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / file, source)
    shutil.copy(PLOTLY, source / "book" / "assets")
    for page in pages:
        notebook = json.loads(_run_of(executed, page).read_text(encoding="utf-8"))
        _drop_live_parts(notebook)
        _put_sheets_into_files(notebook, page, source / "book" / "assets")
        if page.startswith("notebooks/"):
            notebook["cells"].append(_rerun_box(Path(page).name, notebook["metadata"]))
        target = source / f"{page}.ipynb"
        target.parent.mkdir(exist_ok=True)
        target.with_suffix(".md").unlink(missing_ok=True)
        target.write_text(json.dumps(notebook), encoding="utf-8")
    study = next(i for i, part in enumerate(toc["parts"]) if part.get("numbered"))
    others = [path for path in executed.iterdir() if path.is_dir() and path.name in DATASETS]
    for folder in sorted(others, reverse=True):
        toc["parts"].insert(study + 1, _part_on(folder, source))
    (source / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")


def _part_on(folder: Path, source: Path) -> dict:
    """Lay out the chapters that ran on another data set; return their part of the contents."""
    (source / folder.name).mkdir()
    names = sorted(path.stem for path in folder.glob("*.ipynb"))
    for name in names:
        notebook = json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))
        _drop_live_parts(notebook)
        prose = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        for cell in prose:
            text = "".join(cell["source"])
            # a chapter that this part lacks is that of the first
            cell["source"] = re.sub(
                r"\]\((\d\d_\w+)\)",
                lambda link: link[0] if link[1] in names else f"](../notebooks/{link[1]})",
                text,
            )
        title, _, rest = prose[0]["source"].partition("\n")
        prose[0]["source"] = f"{title} ({folder.name})\n{rest}"
        notebook["cells"].append(_rerun_box(name, notebook["metadata"]))
        (source / folder.name / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    chapters = [{"file": f"{folder.name}/{name}"} for name in names]
    return {"caption": f"The study on {folder.name}", "numbered": True, "chapters": chapters}


def build(source: Path, out: Path) -> Path:
    """Build ``source`` from nothing and return the folder of the book, ``out/html``.

    Raises subprocess.CalledProcessError if Sphinx finds an error or has a warning.
    """
    work = out / "sphinx"  # always empty at first: Sphinx repeats no warning of an unchanged page
    shutil.rmtree(work, ignore_errors=True)
    options = ["--path-output", work, "-n", "-W", "--keep-going", "--all"]
    program = Path(sys.executable).with_name("jupyter-book")  # of this very environment
    subprocess.run([program, "build", source, *options], check=True)
    html = out / "html"
    publish(work / "_build" / "html", html)
    _mend_list(html / "book" / "references.html")
    return html


def _mend_list(page: Path) -> None:
    """Make the entries of a bibliography items of a list, as docutils calls the whole a list.

    It gives them a role that no list of ARIA 1.2 may have in it, and that readers by ear may miss.
    """
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace('role="doc-biblioentry"', 'role="listitem"'), encoding="utf-8")


def _drop_live_parts(notebook: dict) -> None:
    """Take out, in place, what only a live notebook can use: widgets and plotly's second copy.

    Where the parameters are hidden, so are those that papermill gave.
    """
    notebook["metadata"].pop("widgets", None)
    tags = [cell["metadata"].setdefault("tags", []) for cell in notebook["cells"]]
    if any({"parameters", "remove-cell"} <= set(of_cell) for of_cell in tags):
        for of_cell in tags:
            if "injected-parameters" in of_cell:
                of_cell.append("remove-cell")
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.plotly.v1+json", None)


def _put_sheets_into_files(notebook: dict, page: str, assets: Path) -> None:
    """Put the sprite sheets of galleries, in place, into files that pages load as they need them.

    They lie in ``gallery/`` at the book's root, to which ``assets`` is copied.
    """
    (assets / "gallery").mkdir(exist_ok=True)

    def into_file(sheet: re.Match) -> str:
        picture = base64.b64decode(sheet[1])
        name = f"gallery/{hashlib.sha256(picture).hexdigest()[:16]}.webp"
        (assets / name).write_bytes(picture)
        return "../" * page.count("/") + name

    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            text = "".join(output.get("data", {}).get("text/html", ""))
            if text.startswith("<clip-gallery"):
                text = re.sub(r"data:image/webp;base64,([\w+/=]+)", into_file, text)
                output["data"]["text/html"] = text


def _rerun_box(chapter: str, metadata: dict) -> dict:
    """Return a cell with the command that ran a chapter and the time it took, a box in its page.

    metadata: of the executed notebook, where papermill notes both. Raises ValueError without them.
    """
    if "papermill" not in metadata:
        raise ValueError(f"{chapter}.ipynb was not run by papermill: run it by book/execute.py")
    run = metadata["papermill"]
    given = [f"-p {name} {shlex.quote(str(value))}" for name, value in run["parameters"].items()]
    command = " \\\n    ".join([f"papermill notebooks/{chapter}.ipynb out.ipynb", *given])
    stages = ""
    if "dataset" in run["parameters"]:
        stages = (
            " Stages that it needs and does not find are made first: "
            "[how long they take](/book/profiles)."
        )
    text = (
        f":::{{admonition}} Re-run this chapter\n:class: rerun\n```bash\n{command}\n```\n"
        f"This is how the page was made, in {run['duration']:.0f} seconds.{stages}\n:::\n"
    )
    return {"cell_type": "markdown", "id": "rerun", "metadata": {}, "source": text}


def _has_code(page: str) -> bool:
    return "```{code-cell}" in (ROOT / f"{page}.md").read_text(encoding="utf-8")


def _run_of(executed: Path, page: str) -> Path:
    return executed / f"{Path(page).name}.ipynb"


def main() -> None:
    """Read the command line, build, and say where the book is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executed", type=Path, required=True, help="the executed notebooks")
    parser.add_argument("--out", type=Path, required=True, help="folder to build in")
    parser.add_argument(
        "--key", required=True, help="by which the book is current (vidlib.workflow.jobs)"
    )
    arguments = parser.parse_args()
    out, begin = arguments.out.resolve(), time.time()
    record = out / "book.json"
    record.unlink(missing_ok=True)
    try:
        assemble(arguments.executed, out / "source")
        html = build(out / "source", out)
    except (ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"The book was not built: {error}")
    told = {"key": arguments.key, "seconds": round(time.time() - begin, 1), **measured(html)}
    write_text(record, json.dumps(told))
    print(f"The book: {html / 'index.html'}")


if __name__ == "__main__":
    main()
