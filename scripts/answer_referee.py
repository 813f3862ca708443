"""List what a referee would object to the paper, and the output of the study that answers it."""

from layerscope.command_line import command, run
from layerscope.report.referee import write_referee

main = command(write_referee)

if __name__ == "__main__":
    run(main)
