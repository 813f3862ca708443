"""Join tables of the same columns into one, in the order given."""

from layerscope.command_line import command, run
from layerscope.tables import join_tables

main = command(join_tables)

if __name__ == "__main__":
    run(main)
