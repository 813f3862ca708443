"""Plot which layers cannot be told from the best one, for every condition and model."""

from layerscope.command_line import command, run
from layerscope.figures.layer_choice import draw_layer_choice

main = command(draw_layer_choice)

if __name__ == "__main__":
    run(main)
