"""Runs candidate programs where they can do no harm, and scores what they return."""
