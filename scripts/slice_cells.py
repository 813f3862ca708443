"""Fetch the chosen cells of a remote h5ad file, and no others."""

from layerscope.cells.slices import slice_cells
from layerscope.command_line import command, run

main = command(slice_cells)

if __name__ == "__main__":
    run(main)
