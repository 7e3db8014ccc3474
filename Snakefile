# The study as a graph of jobs: stages, pages, the book.
#
#   snakemake --cores all --config profile=quick -- book
#   snakemake --cores all --config profile=quick train_seed=1 -- book     (any field of a profile)
#   snakemake --cores all --config seeds=10 -- extended                   (what `results/` is made of)
#   snakemake --executor slurm --jobs 20 --config profile=full -- book    (a job on each node)
#
# vidlib.workflow.jobs lists the jobs, what each needs and which are current; Snakemake runs the
# others. Snakemake deletes the outputs of jobs that fail, so each job has a mark in place of its
# record: the mark exists exactly if the job is current.

import os
import re
from vidlib.profiles import best_precision
from vidlib.workflow.jobs import book_jobs, extended_jobs
from vidlib.workflow.runs import Runs

settings = dict(config)
dataset = settings.pop("dataset", "something-mini")
profile = settings.pop("profile", "quick")
seeds = int(settings.pop("seeds", 0))
runs = Runs(dataset, profile, settings)

BUILD = Path("_build", dataset, runs.name)
jobs = extended_jobs(runs, seeds) if seeds else book_jobs(runs, BUILD)

# glibc returns every large tensor to the system and asks for it again: C-LSTM takes twice as long.
os.environ.update(
    MALLOC_MMAP_THRESHOLD_="8000000000",
    MALLOC_TRIM_THRESHOLD_="16000000000",
    MALLOC_TOP_PAD_="1000000000",
    PYTHONWARNINGS="ignore",
    VIDLIB_PRECISION=best_precision(),  # so that every job, on whatever node, takes the same
)

# On one machine jobs that use every core wait for each other, and pages share the cores. On a cluster
# each job has its own cores, so that independent jobs run side by side.
cores = workflow.cores if workflow.local_exec and workflow.cores else 8


include: "book/count_cores.smk"


def mark(job):
    return BUILD / "marks" / f"{job.name}-{job.key[:12]}"


for job in jobs.values():
    if job.current:
        mark(job).parent.mkdir(parents=True, exist_ok=True)
        mark(job).touch()
    else:
        mark(job).unlink(missing_ok=True)


rule all:
    name:
        "extended" if seeds else "everything"
    input:
        [mark(job) for job in jobs.values() if job.name.startswith("results/" if seeds else "book")],


for job in jobs.values():

    rule:
        name:
            re.sub(r"\W", "_", job.name)
        input:
            [ancient(mark(jobs[key])) for key in job.needs],
        output:
            touch(mark(job)),
        params:
            command=job.command,
        message:
            job.name
        threads: cores if job.whole else 1
        shell:
            "{params.command}"
