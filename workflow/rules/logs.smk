# Functions only: what is said at the end of a run.

from collections import Counter


def summary_of_run(complete):
    """What ran, what was up to date, what is missing, and where the results are, in a few lines."""
    jobs = [job for job in workflow.dag.jobs if job.rule.name != "all"]
    ran = Counter(job.rule.name for job in jobs if workflow.dag.finished(job))
    left = Counter(job.rule.name for job in jobs if not workflow.dag.noneedrun_finished(job))
    current = len(jobs) - ran.total() - left.total()
    lines = [f"{'Done' if complete else 'Not complete'}. Jobs that ran: {in_words(ran)}."]
    lines += [f"Up to date, so skipped: {current:,} jobs."] if current else []
    if not complete:
        lines += [
            f"Jobs that failed, or wait for one that did: {in_words(left)}.",
            "The reason stands above, and in the log that is named there. What has run is kept: mend it and run"
            " the same command again.",
        ]
        return "\n".join(lines)
    skipped = study.unavailable()
    if skipped:
        lines.append(
            f"Not possible, so skipped: {len(skipped)} of the pairs of condition and model (the reasons are in"
            " results/tables/scores.tsv)."
        )
    made = {path for job in jobs for path in job.output}
    if "results/tables/warnings.tsv" in made:
        rows = len(Path("results/tables/warnings.tsv").read_text(encoding="utf-8").splitlines()) - 1
        lines.append(f"Warnings: {rows}, all in results/tables/warnings.tsv.")
    if "results/report.html" in made:
        lines.append("The report is results/report.html; the tables are in results/tables.")
    return "\n".join(lines)


def in_words(counts):
    """Numbers of jobs by rule: ``12 (10 score trajectory, 2 plot scores)``."""
    named = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.most_common())
    return f"{counts.total():,} ({named})" if counts else "none"
