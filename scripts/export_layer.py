"""Write one layer of a model as cells that scanpy can work on."""

from layerscope.command_line import command, run
from layerscope.extraction.export import export_layer

main = command(export_layer)

if __name__ == "__main__":
    run(main)
