"""Match embeddings that the user brings to the prepared cells, and write them like a model's."""

from layerscope.command_line import command, run
from layerscope.extraction.import_embeddings import import_embeddings

main = command(import_embeddings)

if __name__ == "__main__":
    run(main)
