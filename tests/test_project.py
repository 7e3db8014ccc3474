"""The repository agrees with itself: pins, make targets, notebook pairs, rooms, style."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from importlib import metadata
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TARGETS = [
    "book",
    "extended",
    "test",
    "coverage",
    "soak",
    "lab",
    "bench",
    "pair",
    "lint",
    "clean",
    "distclean",
]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.md"))

# Each room may import itself and those before it. `show` draws what the stages found and neither
# imports the other: notebooks bring them together.


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def pyproject():
    return tomllib.loads(read("pyproject.toml"))


def pins(path):
    """The lines of a requirements file as {name: (version, reason)}; `-r` lines are left out."""
    found = {}
    for line in read(path).splitlines():
        line, _, reason = line.partition("#")
        if not line.strip() or line.startswith("-r "):
            continue
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)\s*", line)
        assert match, f"{path}: not an exact pin: {line!r}"
        name = canonicalize_name(match[1])
        assert name not in found, f"{path}: {name} stands twice"
        found[name] = match[2], reason.strip()
    return found


def everything_pinned():
    return pins("requirements.txt") | pins("requirements-dev.txt")


# Requirements


def test_dev_extends_book_and_repeats_nothing():
    assert read("requirements-dev.txt").splitlines().count("-r requirements.txt") == 1
    assert not pins("requirements.txt").keys() & pins("requirements-dev.txt").keys()


def test_torch_is_pinned_with_the_torchvision_built_for_it():
    book = pins("requirements.txt")
    assert book["torch"][0] == "2.13.0"
    assert book["torchvision"][0] == "0.28.0"


def test_what_vidlib_depends_on_is_pinned_for_the_book():
    named = {canonicalize_name(Requirement(d).name) for d in pyproject()["project"]["dependencies"]}
    assert named <= {name for name, (_, reason) in pins("requirements.txt").items() if reason}


def imported_packages(*folders):
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    names += [n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level]
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


def test_what_vidlib_imports_is_a_dependency():
    provides = metadata.packages_distributions()
    named = {canonicalize_name(Requirement(d).name) for d in pyproject()["project"]["dependencies"]}
    for package in imported_packages("vidlib") - {"vidlib"}:
        distributions = {canonicalize_name(name) for name in provides.get(package, [package])}
        assert distributions & named, f"vidlib imports {package}: name it in pyproject.toml"


def requirements_of(name, extra):
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


@pytest.mark.parametrize(
    "files", [["requirements.txt"], ["requirements.txt", "requirements-dev.txt"]]
)
def test_pins_are_all_that_is_needed_and_no_more(files):
    pinned = {name: pin for file in files for name, pin in pins(file).items()}
    todo = [(name, "") for name, (_, reason) in pinned.items() if reason]
    seen = set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for needed in requirements_of(name, extra):
            other = canonicalize_name(needed.name)
            if name == "torch" and other not in pinned:
                continue  # the CUDA libraries of its GPU builds: torch pins those itself
            assert other in pinned, f"{name} needs {other}, which is not pinned"
            assert needed.specifier.contains(pinned[other][0], prereleases=True), (
                f"{name}: {needed}"
            )
            todo += [(other, e) for e in ["", *needed.extras]]
    unneeded = pinned.keys() - {name for name, _ in seen}
    assert not unneeded, "no line with a reason needs these"


def test_what_is_pinned_is_installed():
    installed = {name: metadata.version(name).split("+")[0] for name in everything_pinned()}
    assert installed == {name: version for name, (version, _) in everything_pinned().items()}


def promised():
    """The versions of Python that are promised, the oldest first."""
    text = "\n".join(pyproject()["project"]["classifiers"])
    return re.findall(r"^Programming Language :: Python :: (3\.\d+)$", text, re.M)


def test_pins_run_on_every_python_promised():
    for name in everything_pinned():
        allowed = metadata.metadata(name).get("Requires-Python") or ""
        for version in promised():
            assert SpecifierSet(allowed).contains(f"{version}.2"), f"{name} needs Python {allowed}"


def test_the_same_pythons_are_promised_everywhere():
    said = SpecifierSet(pyproject()["project"]["requires-python"])
    assert promised() == [f"3.{n}" for n in range(8, 30) if said.contains(f"3.{n}.0")]
    assert "3.14.0" not in said  # a library that Snakemake needs has no wheel for it
    words = "Python {}, {} or {}".format(*promised())
    for text in (read("README.md"), read("CONTRIBUTING.md"), read("Makefile")):
        assert words in text
    asked = " ".join(f"python{version}" for version in promised())
    assert f"PYTHON ?= {asked} python3\n" in read("Makefile")


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0", "3.9.1", "2.7.18", ""])
def test_make_refuses_other_pythons_and_names_the_remedy(tmp_path, version):
    """A stand-in answers as a Python of that version would; with "", there is none."""
    python = tmp_path / "python"
    if version:
        numbers = version.replace(".", ", ")
        python.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo Python {version} && exit\n'
            f"exec '{sys.executable}' -c \"import sys; sys.version_info = ({numbers})\n$2\"\n"
        )
        python.chmod(0o755)
    result = run("make", f"VENV={tmp_path}/venv", f"PYTHON={python}", f"{tmp_path}/venv/bin/pip")
    assert result.returncode and not (tmp_path / "venv").exists()
    found = f"found Python {version}." if version else "found none."
    for words in ("Python 3.11, 3.12 or 3.13 is needed", found, "make PYTHON=/path/to/python3.13"):
        assert words in result.stderr


def tracked():
    return run("git", "ls-files", "-z").stdout.split("\0")[:-1]


def test_a_clone_of_windows_has_the_line_ends_that_scripts_and_hashes_need(tmp_path):
    """With core.autocrlf, as Git for Windows has it, and what is in the folder now."""
    away = tmp_path / "away"
    for command in (["init", "-q", away], ["-C", away, "config", "core.autocrlf", "true"]):
        assert run("git", *command).returncode == 0
    for name in tracked():
        if (ROOT / name).is_file():
            (away / name).parent.mkdir(parents=True, exist_ok=True)
            (away / name).write_bytes((ROOT / name).read_bytes())
    identity = ["-c", "user.name=x", "-c", "user.email=x"]
    assert run("git", "-C", away, "add", "-A").returncode == 0
    assert run("git", "-C", away, *identity, "commit", "-qm", "all").returncode == 0
    clone = tmp_path / "clone"
    cloned = run("git", "clone", "-q", "-c", "core.autocrlf=true", away, clone)
    assert cloned.returncode == 0, cloned.stderr
    for name in tracked():
        if (ROOT / name).is_file():
            assert (clone / name).read_bytes() == (ROOT / name).read_bytes(), name
    assert b"\r" not in b"".join(path.read_bytes() for path in clone.glob(".ci/*"))


BINARY = ("avi", "gif", "jpg", "mp4", "npy", "npz", "parquet", "png", "safetensors", "webm", "webp")


def test_git_is_told_of_every_file_what_it_is():
    names = [*tracked(), *(f"x.{suffix}" for suffix in (*BINARY, "sh"))]
    listed = run("git", "check-attr", "text", "eol", "--", *names).stdout.splitlines()
    said = {tuple(line.split(": ")[:2]): line.split(": ")[2] for line in listed}
    for name in names:
        if name.rpartition(".")[2] in BINARY:
            assert said[name, "text"] == "unset", name
        else:
            assert said[name, "text"] in ("set", "auto") and said[name, "eol"] == "lf", name
    scripts = [n for n in names if n.endswith((".py", ".sh", "file")) or n.startswith(".ci/")]
    assert scripts and all(said[name, "text"] == "set" for name in scripts)


def test_environment_leans_on_the_pins():
    environment = yaml.safe_load(read("environment.yml"))
    python, pip, from_pip = environment["dependencies"]
    assert environment["name"] == pyproject()["project"]["name"]
    assert pip == "pip"
    assert from_pip == {"pip": ["-r requirements.txt", "-e ."]}
    version = python.removeprefix("python=")
    assert version == promised()[0]
    assert pyproject()["tool"]["ruff"]["target-version"] == "py" + version.replace(".", "")
    assert {step["with"]["python-version"] for step in steps_using("actions/setup-python")} == {
        version
    }


# Make, continuous integration, README


def workflows():
    return [yaml.safe_load(path.read_text()) for path in ROOT.glob(".github/workflows/*.yml")]


def steps():
    return [s for w in workflows() for job in w["jobs"].values() for s in job["steps"]]


def steps_using(action):
    return [step for step in steps() if step.get("uses", "").startswith(action + "@")]


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows(target):
    result = run("make", "--dry-run", target)
    assert result.returncode == 0, result.stderr


def test_make_alone_lists_every_target():
    listed = re.findall(r"^  make (\w+)", run("make").stdout, re.M)
    assert sorted(listed) == sorted(["help", *TARGETS])


def test_unset_variables_mean_quick_and_something_mini():
    assert (
        "--config dataset=something-mini profile=quick -- book" in run("make", "-n", "book").stdout
    )


def test_workflow_tests_and_publishes_with_make():
    commands = [step["run"] for step in steps() if "run" in step]
    assert sorted(commands) == ["make book", "make test"]
    (upload,) = steps_using("actions/upload-pages-artifact")
    assert (
        f'echo "The book: {upload["with"]["path"]}/index.html"' in run("make", "-n", "book").stdout
    )
    assert steps_using("actions/deploy-pages")


def test_publishing_waits_for_the_tests_and_only_follows_a_push_to_main():
    (workflow,) = workflows()
    assert workflow[True]["push"] == {"branches": ["main"]}  # YAML 1.1 reads the key `on` as true
    assert workflow["jobs"]["publish"]["needs"] == "test"
    assert workflow["jobs"]["publish"]["if"] == "github.event_name == 'push'"


@pytest.mark.parametrize(
    "script", sorted(set(ROOT.glob(".ci/*")) - {ROOT / ".ci/home.py"}), ids=lambda path: path.name
)
def test_ci_scripts_are_executable_bash(script):
    assert script.stat().st_mode & 0o111
    result = run("bash", "-n", str(script))
    assert result.returncode == 0, result.stderr


def test_readme_commands_exist():
    text = read("README.md")
    code = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text))
    targets = set(re.findall(r"^make (\w+)", code, re.M))
    assert {"book", "test", "lab"} <= targets <= set(TARGETS)
    templates = re.findall(r"papermill (\S+)", code)
    assert templates
    for notebook in templates:
        assert (ROOT / notebook).is_file(), notebook


def test_readme_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", read("README.md")):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


def test_citation_and_licence_agree():
    project, citation = pyproject()["project"], yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"] == "MIT"
    licence = read("LICENSE")
    assert licence.startswith("MIT License\n")
    assert citation["authors"][0]["name"] in licence
    (paper,) = citation["references"]
    assert [a["family-names"] for a in paper["authors"]] == [
        "Mänttäri",
        "Broomé",
        "Folkesson",
        "Kjellström",
    ]
    assert paper["identifiers"][0]["value"] == "arXiv:2002.00367"


# Notebooks


def test_there_are_notebooks_and_each_has_its_pair():
    assert NOTEBOOKS
    assert {p.stem for p in NOTEBOOKS} == {p.stem for p in ROOT.glob("notebooks/*.ipynb")}


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_pair_is_equal_and_carries_no_outputs(source):
    text = jupytext.read(source)
    pair = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(pair)

    def content(notebook):
        return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]

    assert content(pair) == content(text), "run `make pair`"
    assert pair.metadata.kernelspec == text.metadata.kernelspec
    header = "delete the ipynb and run `make pair`: what its header had, that keeps"
    assert pair.metadata.get("vidlib") == text.metadata.get("vidlib"), header
    for cell in pair.cells:
        assert not cell.get("outputs"), "run `make pair`"
        assert cell.get("execution_count") is None, "run `make pair`"


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_one_cell_is_tagged_parameters(source):
    tags = [tag for cell in jupytext.read(source).cells for tag in cell.metadata.get("tags", [])]
    assert tags.count("parameters") == 1


# The tree


def test_no_file_names_a_path_of_one_machine():
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stderr
    path = re.compile(r"(?<![\w.~*/:)}<-])/(?:work|tmp|root|home|opt|Users|mnt)/\w")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        try:
            lines = read(name).splitlines()
        except (UnicodeDecodeError, FileNotFoundError):  # a picture; deleted but not yet in git
            continue
        found += [
            f"{name}:{i}: {line[:120]}" for i, line in enumerate(lines, 1) if path.search(line)
        ]
    assert not found, "\n".join(found)


def lines_of_code(path):
    """Lines that hold code: no blanks, no comments, no docstrings."""
    source = path.read_text(encoding="utf-8")
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        match getattr(node, "body", None):
            case [ast.Expr(value=ast.Constant(value=str())) as first, *_]:
                docstrings |= set(range(first.lineno, first.end_lineno + 1))
    without = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    held = [t for t in tokens if t.type not in without and t.string]
    return len({n for t in held for n in range(t.start[0], t.end[0] + 1)} - docstrings)


def test_vidlib_is_small():
    """Who adds a room clears one."""
    assert sum(map(lines_of_code, (ROOT / "vidlib").rglob("*.py"))) <= 8000


def test_imports_go_one_way():
    result = run(Path(sys.executable).with_name("lint-imports"), "--no-cache")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff(check):
    result = run(sys.executable, "-m", "ruff", *check, ".")
    assert result.returncode == 0, result.stdout + result.stderr
