"""What is called from Python: the functions of ``import layerscope``, and what they return."""
