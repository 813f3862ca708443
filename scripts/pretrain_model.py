"""Pretrain a small model with the architecture of a released one, and write it in the release's layout."""

from layerscope.command_line import command, run
from layerscope.demo.pretraining import pretrain

main = command(pretrain)

if __name__ == "__main__":
    run(main)
