"""Conditional spaces: domains inside a choice, against Optuna's define-by-run search."""
