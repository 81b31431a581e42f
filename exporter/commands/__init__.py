"""The commands but those that serve and check: a module each, and what they have in common."""
