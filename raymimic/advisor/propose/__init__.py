"""Which configurations next: rules, models of the scores, prompt and reply."""
