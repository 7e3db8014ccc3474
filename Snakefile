# The study, stage by stage and notebook by notebook.
#
#   snakemake --cores all --config profile=quick -- book
#   snakemake --cores all --config profile=quick seed=1 -- book      (any field of a profile)
#
# vidlib.study owns what is current: a stage's mark has the hash of all it depends on in its name, so
# that a stage whose mark is there is not run again; one that is run finds what is made already.

import os
import shlex
from vidlib.profiles import overridden
from vidlib.study import open_study

settings = dict(config)
dataset = settings.pop("dataset", "something-mini")
profile = settings.pop("profile", "quick")
study = open_study(dataset, profile, settings)
study.require_truth()

given = {"dataset": dataset, "profile": profile, **settings}
PARAMETERS = shlex.join([word for k, v in given.items() for word in ("-p", k, str(v))])
BUILD = f"_build/{dataset}/{study.name}"
CHAPTERS = sorted(glob_wildcards("notebooks/{name,[0-9]+_.*}.md").name)
PAGES = {**{name: f"notebooks/{name}.md" for name in CHAPTERS}, "index": "book/index.md"}
CODE = sorted(str(p) for s in ("py", "js", "css") for p in Path("vidlib").rglob(f"*.{s}"))

# glibc returns every large tensor to the system and asks for it again: C-LSTM takes twice as long.
os.environ.update(
    MALLOC_MMAP_THRESHOLD_="8000000000",
    MALLOC_TRIM_THRESHOLD_="16000000000",
    MALLOC_TOP_PAD_="1000000000",
    PYTHONWARNINGS="ignore",
)


# What chapter 1 shows of other sets beside this one: (data set, last stage that it needs). They come
# first: in the chain below, a mark made anew has the stage after it looked at again.
ASIDE = [("cue-marker", "intervene"), ("cue-order", "intervene"), ("kth-mini", "observe")]
ASIDE = ASIDE if dataset == "something-mini" else []
studies = {dataset: study, **{name: study.beside(name) for name, _ in ASIDE}}
stages = [*ASIDE, *((dataset, stage) for stage in study.main_stages)]


def done(name, stage):
    """A mark of Snakemake's own: it deletes its outputs, and results are not its to delete."""
    return f"{BUILD}/stages/{name}-{stage}-{studies[name].key(stage)[:12]}"


def flags(name):
    changes = overridden(profile, studies[name].profile)
    changes = [f"--set={field}={value}" for field, value in changes.items()]
    return shlex.join(["--dataset", name, "--profile", profile, *changes])


rule book:
    input:
        pages=[f"{BUILD}/notebooks/{name}.ipynb" for name in PAGES],
        sources=[str(p) for p in Path("book").rglob("*") if p.is_file() and "__pycache__" not in str(p)],
        settings=["_config.yml", "_toc.yml"],
    output:
        f"{BUILD}/html/index.html",
    threads: 2
    shell:
        f"python book/build.py --executed {BUILD}/notebooks --out {BUILD}"


for before, (name, stage) in zip([None, *stages], stages):

    rule:
        name:
            f"stage_{'' if name == dataset else name + '_'}{stage}".replace("-", "_")
        input:
            # One at a time, in their order: each uses every core, and two at once take far longer.
            # `threads` does not see to it: Snakemake 9.15 forgets to count the cores of a job that
            # is the only one ready, and gives them back when it ends.
            ancient(done(*before)) if before else [],
        output:
            touch(done(name, stage)),
        params:
            stage=stage,
            flags=flags(name),
        threads: 2  # torch uses them all
        shell:
            "python -m vidlib {params.stage} {params.flags}"


for page, source in PAGES.items():

    # Cheap: whatever is heavy has been made by the stages.
    rule:
        name:
            f"page_{page}"
        input:
            "book/execute.py",
            source=source,
            code=CODE,
            stages=[done(name, stage) for name, stage in stages],
        output:
            f"{BUILD}/notebooks/{page}.ipynb",
        params:
            build=BUILD,
            flags=PARAMETERS,
        threads: 2
        shell:
            "python book/execute.py {input.source} {params.build} {params.flags}"
