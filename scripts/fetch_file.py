"""Fetch one file of a dataset or of a model's weights: resumed, checked, never fetched twice."""

from layerscope.command_line import command, run
from layerscope.sources.fetch import fetch

main = command(fetch)

if __name__ == "__main__":
    run(main)
