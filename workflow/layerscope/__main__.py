"""``python -m layerscope``."""

from layerscope.program import main

if __name__ == "__main__":
    main()
