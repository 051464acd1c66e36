"""What changes in a running training: evidence, rules, prompt and reply."""
