"""Compare the weights of a model at hand with all that is published of them."""

from layerscope.command_line import command, run
from layerscope.verification.command import verify_model

main = command(verify_model)

if __name__ == "__main__":
    run(main)
