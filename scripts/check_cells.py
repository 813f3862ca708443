"""Say in plain words what a file of cells holds, and which tasks and models can use it."""

from pathlib import Path

from layerscope.cells.check import check
from layerscope.command_line import command, run
from layerscope.models.catalogue import FAMILIES


def check_cells(file: Path, /) -> None:
    """Say in plain words what a file of cells holds, and which tasks and models can use it."""
    print(check(file, FAMILIES))


main = command(check_cells)

if __name__ == "__main__":
    run(main)
