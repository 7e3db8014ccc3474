"""Run stages of the study from the command line: python -m vidlib train-i3d --profile smoke."""

import argparse
import ast
import sys
import warnings

from vidlib.data.index import DataWarning
from vidlib.processes import rank
from vidlib.study import open_study


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main(arguments: list[str] | None = None) -> int:
    """Make the stage that is named, and what it needs; "status" says what is current."""
    parser = argparse.ArgumentParser(prog="python -m vidlib", description=__doc__)
    parser.add_argument("stage", nargs="+", help="status, or what it lists: train-i3d or train i3d")
    parser.add_argument("--dataset", default="something-mini")
    parser.add_argument("--profile", default="quick")
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="FIELD=VALUE",
        type=_setting,
        action="append",
        default=[],
        help="override a field of the profile; may be given several times",
    )
    options = parser.parse_intermixed_args(arguments)
    name = "-".join(options.stage)
    warnings.simplefilter("always", DataWarning)  # even where others are silenced
    try:
        study = open_study(options.dataset, options.profile, dict(options.settings))
        if name == "status":
            for stage in study.stages:
                print(f"{'current' if study.is_current(stage) else '-':8} {study.path(stage)}")
        else:
            folder = study.ensure(name)
            if rank() == 0:
                print(folder)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"vidlib: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
