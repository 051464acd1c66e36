"""``raymimic invent``: Self-Developing from the command line."""
