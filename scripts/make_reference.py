"""Make what the layers of a condition are compared with."""

from layerscope.command_line import command, run
from layerscope.tasks.jobs import make_reference

main = command(make_reference)

if __name__ == "__main__":
    run(main)
