"""Simulate one draw of the embedded study's cells, with known truth."""

from layerscope.command_line import command, run
from layerscope.demo.simulation import write_simulation

main = command(write_simulation)

if __name__ == "__main__":
    run(main)
