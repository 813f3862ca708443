# Functions only: what is said at the end of a run.

import csv
from collections import Counter, defaultdict
from datetime import datetime


def summary_of_run(complete):
    """What ran and how long, what is missing or was warned of, and where the results are, in a few lines."""
    jobs = [job for job in workflow.dag.jobs if job.rule.name != "all"]
    ran = sum(map(workflow.dag.finished, jobs))
    left = Counter(job.rule.name for job in jobs if not workflow.dag.noneedrun_finished(job))
    current = len(jobs) - ran - left.total()
    clock = str(datetime.now() - workflow.start_time).partition(".")[0]
    lines = [f"{'Done' if complete else 'Not complete'}. Jobs that ran: {ran:,}, in {clock}."]
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
        lines += warnings_in_words("results/tables/warnings.tsv")
    if "results/report.html" in made:
        lines.append("The report is results/report.html; the tables are in results/tables.")
    return "\n".join(lines)


def warnings_in_words(path, most=5):
    """How many warnings the jobs gave, and the most frequent ones, once each."""
    about = defaultdict(list)
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            about[row["warning"]].append(row["of"])
    if not about:
        return ["Warnings: none."]
    lines = [f"Warnings: {sum(map(len, about.values())):,}, all in {path}:"]
    for warning, of in sorted(about.items(), key=lambda item: -len(item[1]))[:most]:
        lines.append(f"  {warning} ({of[0] if len(of) == 1 else f'{len(of):,} times'})")
    return lines


def in_words(counts):
    """Numbers of jobs by rule: ``12 (10 score trajectory, 2 plot scores)``."""
    named = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.most_common())
    return f"{counts.total():,} ({named})" if counts else "none"
