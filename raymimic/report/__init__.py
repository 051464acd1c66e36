"""Reads a run's ledger and shows it: a page, a live page, stories in words, tables for others.

Ledgers are all it needs, so it works on a finished, a running and a killed run. Imports no Ray. The
command line imports this package at each start, so it imports nothing here.
"""
