"""How even the values of a layer are."""
