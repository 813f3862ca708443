"""Align every layer of all models with the baselines (debiased linear CKA), in one table for a study."""

from layerscope.command_line import command, run
from layerscope.geometry.comparison import compare_with_baselines

main = command(compare_with_baselines)

if __name__ == "__main__":
    run(main)
