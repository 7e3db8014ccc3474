"""Every exported function's docstring ends with an example, and every example runs."""

import doctest
import importlib
import inspect

import pytest
from conftest import ROOT

OFFERED = ("check", "compare", "data", "explain", "files", "models", "named", "profiles")
OFFERED += ("rendered", "show", "study", "training", "video_network", "weights_cache")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "vidlib").rglob("*.py"))
    if path.stem not in ("__init__", "__main__")
]
WITH_STUDY = ["vidlib.compare.against_truth"]  # whose examples call a finished study `study`
WITH_STUDY += [
    f"vidlib.show.{name}"
    for name in ("clips", "gallery", "scrubber_figure", "sentences", "truth_figures")
]


def offered():
    """Yield name and value of all that packages offer, and modules that stand alone."""
    for package in OFFERED:
        module = importlib.import_module(f"vidlib.{package}")
        for name, value in vars(module).items():
            own = getattr(value, "__module__", "").startswith(module.__name__)
            if own and inspect.isfunction(value) and not name.startswith("_"):
                yield f"{package}.{name}", value


FUNCTIONS = dict(offered())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_exported_function_ends_with_an_example(name):
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    examples = doctest.DocTestParser().get_examples(text)
    assert examples, f"{name}: its docstring has no example"
    after = text.splitlines()[examples[-1].lineno + examples[-1].source.count("\n") :]
    shown = examples[-1].want or (examples[-1].exc_msg or "")
    assert "\n".join(after).strip() == shown.strip() or (not shown and not "".join(after).strip())


def run_examples(module, **names):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = importlib.import_module(module)
    failed, _ = doctest.testmod(found, extraglobs=names, optionflags=options)
    assert not failed


@pytest.mark.parametrize("module", sorted(set(MODULES) - set(WITH_STUDY)))
def test_examples_run(module):
    run_examples(module)


@pytest.mark.parametrize("module", WITH_STUDY)
def test_examples_of_a_study_run(module, smoke_study):
    run_examples(module, study=smoke_study)
