"""Whether the weights at hand are the release that they should be, and give what is published of it."""
