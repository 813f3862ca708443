"""Score one layer of one model on one condition."""

from layerscope.command_line import command, run
from layerscope.tasks.jobs import score_layer

main = command(score_layer)

if __name__ == "__main__":
    run(main)
