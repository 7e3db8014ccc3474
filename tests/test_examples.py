"""Every exported function's docstring ends with an example, and every example runs."""

import ast
import doctest
import importlib
import inspect

import pytest
from conftest import ROOT

PACKAGES = ("data", "models", "explain", "compare", "rendered", "show")
ALONE = ("check", "datasets", "files", "named", "profiles", "study", "training")
ALONE += ("variants", "video_network", "weights_cache")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "vidlib").rglob("*.py"))
    if path.stem not in ("__init__", "__main__")
]


def exported():
    """Yield name and function of all that a package offers, and that modules without one define."""
    for package in PACKAGES:
        module = importlib.import_module(f"vidlib.{package}")
        for node in ast.parse((ROOT / f"vidlib/{package}/__init__.py").read_text()).body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield f"{package}.{alias.name}", getattr(module, alias.name)
    for name in ALONE:
        module = importlib.import_module(f"vidlib.{name}")
        for attribute, value in vars(module).items():
            own = getattr(value, "__module__", None) == module.__name__
            if own and not attribute.startswith("_"):
                yield f"{name}.{attribute}", value


FUNCTIONS = {name: value for name, value in exported() if inspect.isfunction(value)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_exported_function_ends_with_an_example(name):
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    examples = doctest.DocTestParser().get_examples(text)
    assert examples, f"{name}: its docstring has no example"
    after = text.splitlines()[examples[-1].lineno + examples[-1].source.count("\n") :]
    shown = examples[-1].want or (examples[-1].exc_msg or "")
    assert "\n".join(after).strip() == shown.strip() or (not shown and not "".join(after).strip())


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module, request):
    found = importlib.import_module(module)
    tests = doctest.DocTestFinder().find(found)
    sources = "".join(example.source for test in tests for example in test.examples)
    study = {"study": request.getfixturevalue("smoke_study")} if "study" in sources else {}
    failed, _ = doctest.testmod(
        found, extraglobs=study, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert not failed
