"""Gather what the jobs of a study warned of into one table."""

from layerscope.command_line import command, run
from layerscope.report.warned import write_warnings

main = command(write_warnings)

if __name__ == "__main__":
    run(main)
