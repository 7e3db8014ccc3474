# The study, stage by stage and notebook by notebook.
#
#   snakemake --cores all --config profile=quick -- book
#   snakemake --cores all --config profile=quick seed=1 -- book      (any field of a profile; of
#                                                   them only the seed is for kth-mini's part too)
#
# vidlib.study owns what is current: a stage's mark has the hash of all it depends on in its name, so
# that a stage whose mark is there is not run again; one that is run finds what is made already.

import json
import os
import shlex
from vidlib.models import has_kinetics_weights
from vidlib.study import open_study

settings = dict(config)
dataset = settings.pop("dataset", "something-mini")
profile = settings.pop("profile", "quick")
study = open_study(dataset, profile, settings)
study.require_truth()

BUILD = f"_build/{dataset}/{study.name}"
CHAPTERS = sorted(glob_wildcards("notebooks/{name,[0-9]+_.*}.md").name)
ON_NO_DATA = ["07_errata"]  # about the paper and its code
CODE = sorted(str(p) for s in ("py", "js", "css") for p in Path("vidlib").rglob(f"*.{s}"))

# glibc returns every large tensor to the system and asks for it again: C-LSTM takes twice as long.
os.environ.update(
    MALLOC_MMAP_THRESHOLD_="8000000000",
    MALLOC_TRIM_THRESHOLD_="16000000000",
    MALLOC_TOP_PAD_="1000000000",
    PYTHONWARNINGS="ignore",
)


# Beside something-mini the book has a second part on kth-mini, and chapter 1 shows planted cues.
# They come first: in the chain below, a mark made anew has the stage after it looked at again.
beside = ["cue-marker", "cue-order", "kth-mini"] if dataset == "something-mini" else []
studies = {name: study.beside(name) for name in beside} | {dataset: study}
stages = [
    (name, stage)
    for name, one in studies.items()
    for stage in (["intervene"] if name.startswith("cue-") else one.main_stages)
]
# The pages: data set, where there is one, and source of each. Chapter 1 tells of all data sets.
pages = {
    name: (None if name in ON_NO_DATA else dataset, f"notebooks/{name}.md") for name in CHAPTERS
}
with_code = (p for p in sorted(Path("book").glob("*.md")) if "```{code-cell}" in p.read_text())
pages |= {page.stem: (dataset, str(page)) for page in with_code}
if "kth-mini" in beside:
    again = [name for name in CHAPTERS if "02" <= name < "07"]
    pages |= {f"kth-mini/{name}": ("kth-mini", f"notebooks/{name}.md") for name in again}


def done(name, stage):
    """A mark of Snakemake's own: it deletes its outputs, and results are not its to delete."""
    return f"{BUILD}/stages/{name}-{stage}-{studies[name].key(stage)[:12]}"


def flags(name):
    changes = [f"--set={field}={value}" for field, value in studies[name].overrides.items()]
    return shlex.join(["--dataset", name, "--profile", profile, *changes])


def parameters(page, name):
    if name is None:
        return "'{}'"
    given = {"dataset": name, "profile": profile, **studies[name].overrides}
    # Real footage wants weights that were fetched; without them, and in tests, I3D stands in.
    if page.startswith("08_") and (profile == "smoke" or not has_kinetics_weights()):
        given["model"] = "i3d"
    return shlex.quote(json.dumps(given))


rule book:
    input:
        pages=[f"{BUILD}/notebooks/{page}.ipynb" for page in pages],
        sources=[str(p) for p in Path("book").rglob("*") if p.is_file() and "__pycache__" not in str(p)],
        settings=["_config.yml", "_toc.yml"],
    output:
        f"{BUILD}/html/index.html",
    message:
        "Building the pages"
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
        message:
            f"{name}: {stage}"
        threads: 2  # torch uses them all
        shell:
            "python -m vidlib {params.stage} {params.flags}"


# Pages are run one a core, which takes a resource of their own: after stages, whose cores were given
# back without being counted (see above), `threads` alone would let all start at once.
workflow.register_resource("kernels", workflow.cores)

for page, (name, source) in pages.items():

    # Cheap: whatever is heavy has been made by the stages.
    rule:
        name:
            f"page_{page}".replace("/", "_").replace("-", "_")
        input:
            "book/execute.py",
            source=source,
            code=CODE,
            stages=[done(*stage) for stage in stages],
        output:
            f"{BUILD}/notebooks/{page}.ipynb",
        params:
            build=BUILD,
            page=page,
            given=parameters(page, name),
        message:
            f"Running {source}{f' on {name}' if name else ''}"
        threads: 1
        resources:
            kernels=1,
        shell:
            "python book/execute.py {input.source} {params.build} {params.page} {params.given}"
