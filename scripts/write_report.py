"""Write the report of a study: one page that opens without a network."""

from layerscope.command_line import command, run
from layerscope.report.page import write_report

main = command(write_report)

if __name__ == "__main__":
    run(main)
