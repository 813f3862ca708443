"""Measure the shape of every layer of a model: ranks, anisotropy, intrinsic dimension, norms, variance."""

from layerscope.command_line import command, run
from layerscope.geometry.job import describe_geometry

main = command(describe_geometry)

if __name__ == "__main__":
    run(main)
