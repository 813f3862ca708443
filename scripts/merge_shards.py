"""Join the embeddings files of all stretches of cells into one."""

from layerscope.command_line import command, run
from layerscope.extraction.merge import merge

main = command(merge)

if __name__ == "__main__":
    run(main)
