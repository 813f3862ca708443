"""Compare the layers that criteria without labels pick with those that labels leave as possibly the best."""

from layerscope.command_line import command, run
from layerscope.statistics.label_free import compare_label_free

main = command(compare_label_free)

if __name__ == "__main__":
    run(main)
