"""One module per service: how to ask it, and how to read its answer."""
