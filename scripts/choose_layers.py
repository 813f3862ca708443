"""Say which layer of each model to use for each condition, and how sure that is."""

from layerscope.command_line import command, run
from layerscope.statistics.layer_choice import write_layer_choice

main = command(write_layer_choice)

if __name__ == "__main__":
    run(main)
