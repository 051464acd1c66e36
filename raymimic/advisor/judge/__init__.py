"""Which running trials go on: evidence, rules, prompt and reply."""
