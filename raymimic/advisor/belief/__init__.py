"""Where the optimum is believed to lie: practice, lessons, the user or a model; as a density."""
