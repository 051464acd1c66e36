"""Decisions on running trials: rules, judgements, redirects, free of Ray."""
