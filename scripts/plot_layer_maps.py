"""Draw the cells of one condition by the chosen and by the final layer of a model, beside each other."""

from layerscope.command_line import command, run
from layerscope.figures.layer_maps import draw_layer_maps

main = command(draw_layer_maps)

if __name__ == "__main__":
    run(main)
