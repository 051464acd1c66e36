"""Limits of results: the best trial that keeps them, against Optuna's TPE with constraints."""
