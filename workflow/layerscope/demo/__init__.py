"""The embedded study: simulated cells with known truth, and small models pretrained on them."""
