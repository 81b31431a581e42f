"""The documentation; `docs.generator` writes those pages of it that follow from the code."""
