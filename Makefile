# `make` lists the targets. What they need of Python is installed into .venv.

PROFILE ?= quick
DATASET ?= something-mini
SEEDS ?= 10
# The first of these that fits makes the virtual environment.
PYTHON ?= python3.11 python3.12 python3.13 python3

VENV := .venv
# What is started with .venv's Python, by whatever program, first sees to its home folder.
export define SETTLED
import pathlib, sysconfig
home = str(pathlib.Path(".ci/home.py").resolve())
line = f"import runpy; runpy.run_path({home!a})['settle']()"
pathlib.Path(sysconfig.get_path("purelib"), "vidlib_home.pth").write_text(line + "\n")
endef
PY := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book extended test coverage soak lab bench pair lint clean distclean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 18
	@echo "Variables: PROFILE (now $(PROFILE)), DATASET (now $(DATASET)), SEEDS (of extended, now $(SEEDS)),"
	@echo "as in: make book PROFILE=smoke"

book: $(VENV)/book.stamp $(VENV)/weights.stamp ## run what is out of date and build the book
	@$(PY) -m snakemake --cores all --rerun-incomplete --quiet host reason \
	    --config dataset=$(DATASET) profile=$(PROFILE) -- book
	@echo "The book: _build/$(DATASET)/$(PROFILE)/html/index.html"

extended: $(VENV)/book.stamp ## run many training seeds, hours, resumable; tables go to results/
	@$(PY) -m vidlib plan --dataset $(DATASET) --profile $(PROFILE) --seeds $(SEEDS)
	@$(PY) -m snakemake --cores all --rerun-incomplete --keep-going --quiet host reason \
	    --config dataset=$(DATASET) profile=$(PROFILE) seeds=$(SEEDS) -- extended

# Two at a time, each with whole files; those that wait for the book at smoke come last.
TEST := -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test: $(VENV)/dev.stamp ## run the tests, in a real browser too
	@bash .ci/chromium
	@$(PY) $(TEST)

coverage: $(VENV)/dev.stamp ## run them and say what of vidlib they reach, a tenth slower
	@bash .ci/chromium
	@$(PY) $(TEST) --cov

soak: $(VENV)/dev.stamp ## run the long tests
	@bash .ci/chromium
	@$(PY) -m pytest -m soak

lab: $(VENV)/book.stamp ## open the notebooks in JupyterLab
	@$(PY) -m jupyterlab --FileContentsManager.preferred_dir=notebooks

bench: $(VENV)/dev.stamp ## run every benchmark
	@set -e; for b in $(wildcard benchmarks/[a-z]*.py); do echo "== $$b"; $(PY) $$b; done

pair: $(VENV)/book.stamp ## bring every ipynb up to date with its MyST source, without outputs
	@$(PY) -m jupytext --quiet --update --to ipynb notebooks/*.md
	@$(PY) -m jupyter nbconvert --log-level=WARN --clear-output --inplace notebooks/*.ipynb

lint: $(VENV)/dev.stamp ## check style, types and the order of imports
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports

# data/ may hold a real data set put there by hand: only rendered ones go.
clean: ## remove what was rendered, run and built
	rm -rf runs _build .snakemake data/*-mini

distclean: clean ## remove the virtual environment and caches as well
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis .home

# pip is the last thing that goes into a new environment, so it stands for all of it.
$(VENV)/bin/pip:
	@for p in $(PYTHON); do \
	    $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || continue; \
	    $$p -c 'import ensurepip, venv' 2>/dev/null || { \
	        echo "$$p cannot make a virtual environment (Debian, Ubuntu: apt install python3-venv)." >&2; \
	        exit 1; }; \
	    echo "Making $(VENV) with $$($$p --version)"; exec $$p -m venv $(VENV); \
	done; \
	found=$$(for p in $(PYTHON); do $$p --version 2>/dev/null; done | sort -u | paste -sd, -); \
	echo "Python 3.11, 3.12 or 3.13 is needed, for which all libraries are ready-made; tried $(PYTHON)," \
	    "found $${found:-none}. Get one (apt install python3.13, uv python install 3.13, conda create" \
	    "-p py python=3.13) and name it: make PYTHON=/path/to/python3.13" >&2; \
	exit 1

$(VENV)/book.stamp: requirements.txt pyproject.toml | $(VENV)/bin/pip
	@echo "Installing requirements.txt into $(VENV) (the first time: some minutes, 2.5 GB)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(PY) -c "$$SETTLED"
	@touch $@

# Chapter 8 asks this network about real footage; the book can be built without it.
$(VENV)/weights.stamp: | $(VENV)/book.stamp
	@echo "Fetching the weights of I3D as trained on Kinetics (once, 47 MB)"
	@$(PY) -c 'import vidlib.models as m; m.has_kinetics_weights() or m.download_kinetics_i3d()' \
	    2>/dev/null || echo "Could not fetch them: chapter 8 will use the study's own I3D"
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/book.stamp
	@echo "Installing requirements-dev.txt into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
