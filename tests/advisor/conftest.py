"""Makes the evidence builders beside this file importable for the rooms below it."""
