"""What a run would take, before it starts: hours, memory and disk of every job.

The figures come from earlier runs of the same job on this kind of machine, with the same settings
apart from seeds and as many threads, or else from the nearest such run. Nothing is guessed: a job
that never ran has no figures, and the sums say how many such jobs there are.
"""

import json

from vidlib.workflow.jobs import Job
from vidlib.workflow.keys import differing
from vidlib.workflow.machine import machine

SEEDS = ("data_seed", "train_seed")


def cost_of(job: Job, cores: int) -> dict | None:
    """Return the record of the last run of such a job on this kind of machine; None without one.

    It says what the run took: seconds, peak_bytes of memory, disk_bytes. Its note says how that run
    differed from the planned one, apart from seeds; "" if it did not. cores: of this machine.
    """
    stage = job.parameters is not None
    folder = job.record.parent.parent if stage else job.record.parent
    threads = cores if job.whole else 1
    found = []
    for path in folder.glob("*/provenance.json" if stage else job.record.name):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("machine") != machine():
            continue
        apart = []
        if job.parameters is not None:
            apart = differing(record["parameters"], job.parameters, SEEDS)
            apart += ["threads"] * (record["threads"] != threads)
        record["note"] = f"measured at other {', '.join(apart)}" if apart else ""
        found.append((-len(apart), record["finished"], record))
    return max(found, key=lambda one: one[:2])[2] if found else None


def plan(jobs: dict[str, Job], cores: int) -> str:
    """Return a line per job and their sums, as text.

    cores: of this machine; jobs that take one core each run side by side on them.
    """
    width = max(len(job.name) for job in jobs.values())
    lines = [f"{'job':{width}} {'hours':>8} {'memory':>9} {'disk':>9}"]
    total, wall, disk, peak, unknown = 0.0, 0.0, 0, 0, 0
    for job in jobs.values():
        cost = None if job.current else cost_of(job, cores)
        if cost is None:
            unknown += not job.current
            words = "made" if job.current else "?"
            lines.append(f"{job.name:{width}} {words:>8}")
            continue
        hours = cost["seconds"] / 3600
        total, wall = total + hours, wall + hours / (1 if job.whole else cores)
        disk = disk + cost["disk_bytes"]
        peak = max(peak, cost["peak_bytes"] * (1 if job.whole else cores))
        sizes = f"{_size(cost['peak_bytes'])} {_size(cost['disk_bytes'])}"
        lines.append(f"{job.name:{width}} {hours:8.3f} {sizes}  {cost['note']}".rstrip())
    lines.append(f"{'sum':{width}} {total:8.3f} {_size(peak)} {_size(disk)}")
    made = sum(job.current for job in jobs.values())
    lines.append(
        f"{len(jobs)} jobs, {made} of them made. What was measured of the others: {total:.2f} "
        f"hours one after another, {wall:.2f} hours on {cores} cores, where jobs of one core run "
        f"side by side and hold up to {_size(peak).strip()} together."
    )
    if unknown:
        lines.append(f"{unknown} never ran on this kind of machine and are in no sum.")
    return "\n".join(lines)


def _size(count: int) -> str:
    unit, name = (1e9, "GB") if count >= 1e9 else (1e6, "MB")
    return f"{count / unit:6.1f} {name}"
