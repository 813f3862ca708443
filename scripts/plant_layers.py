"""Plant layers in simulated cells: their truth under noise, best at a known depth."""

from layerscope.command_line import command, run
from layerscope.demo.planting import plant_layers

main = command(plant_layers)

if __name__ == "__main__":
    run(main)
