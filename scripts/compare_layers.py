"""Align every layer of a model with its other layers (debiased linear CKA)."""

from layerscope.command_line import command, run
from layerscope.geometry.comparison import compare_layers

main = command(compare_layers)

if __name__ == "__main__":
    run(main)
