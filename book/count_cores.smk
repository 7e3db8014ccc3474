# Snakemake 9.15 does not count the cores of a job that is the only one ready, and still gives them
# back when it ends: from then on it starts more jobs than there are cores. Mended in 9.17, which
# needs more packages.

from snakemake.scheduling.job_scheduler import JobScheduler

select_uncounted = JobScheduler.job_selector


def select_counted(self, jobs):
    selected = select_uncounted(self, jobs)
    if len(jobs) == 1:
        with self._lock:
            self.update_available_resources(selected)
    return selected


JobScheduler.job_selector = select_counted
