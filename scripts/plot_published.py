"""Plot the paper's scores beside those that this study reproduced."""

from layerscope.command_line import command, run
from layerscope.figures.published import draw_published

main = command(draw_published)

if __name__ == "__main__":
    run(main)
