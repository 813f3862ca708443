"""Represent cells by a baseline, written like a model that has its official embedding only."""

from layerscope.command_line import command, run
from layerscope.models.baselines import compute_baseline

main = command(compute_baseline)

if __name__ == "__main__":
    run(main)
