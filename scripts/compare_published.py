"""Set the paper's scores beside what this study reproduced."""

from pathlib import Path

from layerscope.command_line import command, run
from layerscope.statistics.published_scores import compare_published
from layerscope.tables import read_scores, write_table


def compare(*, scores: Path, output: Path) -> None:
    """Set the paper's scores beside what this study reproduced."""
    write_table(output, compare_published(read_scores(scores)))


main = command(compare)

if __name__ == "__main__":
    run(main)
