"""Run stages of the study from the command line: python -m vidlib train-i3d --profile smoke.

Explain videos of your own: python -m vidlib explain my.mp4 (see explain --help).

status: which results are there. plan: what is to be made, with hours, memory and disk as
measured here; with --seeds, of the run over so many training seeds. collect: write the tables of
that run into results/.
"""

import argparse
import ast
import os
import sys
import warnings

from vidlib.data.index import DataWarning
from vidlib.distributed import rank
from vidlib.named import function_of
from vidlib.study import Study
from vidlib.variants import VARIANTS
from vidlib.workflow.jobs import SEEDED, book_jobs, extended_jobs
from vidlib.workflow.keys import ROOT
from vidlib.workflow.plan import plan
from vidlib.workflow.results import RESULTS, collect
from vidlib.workflow.runs import Runs


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _parser() -> argparse.ArgumentParser:
    about, words = __doc__.rsplit("\n\n", 1)
    parser = argparse.ArgumentParser(prog="python -m vidlib", description=about, epilog=words)
    add = parser.add_argument
    stages = "a stage, train-i3d or train i3d (status lists them), or status, plan, collect"
    add("stage", nargs="+", help=stages)
    add("--dataset", default="something-mini", help="default: %(default)s")
    add("--profile", default="quick", help="default: %(default)s")
    more = "override a field of the profile; may be given several times"
    add("--set", dest="settings", action="append", type=_setting, metavar="FIELD=VALUE", help=more)
    add("--seeds", type=int, default=0, help="how many training seeds, from 0")
    add("--key", default="", help="collect: what these results are current by")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["explain"] and arguments[1:2] not in [[name] for name in VARIANTS]:
            return function_of("vidlib.report:main")(arguments[1:])  # `explain i3d` is a stage
        options = _parser().parse_intermixed_args(arguments)
        name, seeds = "-".join(options.stage), options.seeds
        overrides = dict(options.settings or ())
        runs = Runs(options.dataset, options.profile, overrides)
        if name == "status":
            for stage in runs.stages:
                print(f"{'current' if runs.is_current(stage) else '-':8} {runs.path(stage)}")
        elif name == "plan":
            build = ROOT / "_build" / runs.dataset / runs.name
            jobs = extended_jobs(runs, seeds) if seeds else book_jobs(runs, build)
            print(plan(jobs, os.cpu_count() or 1))
        elif name == "collect":
            folder = RESULTS / runs.dataset / runs.name
            collect([runs.with_seed(seed) for seed in range(seeds)], SEEDED, options.key, folder)
            print(folder)
        else:
            warnings.simplefilter("always", DataWarning)  # even where others are silenced
            made = Study(options.dataset, options.profile, overrides).ensure(name)
            if rank() == 0:
                print(made)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"vidlib: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
