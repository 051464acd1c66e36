"""Guided Evolution on small data."""
