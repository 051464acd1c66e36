"""The command ``raymimic evolve``: an evolution with a live front, and its results as files."""
