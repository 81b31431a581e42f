"""The commands that ask: a module each, and what they have in common."""
