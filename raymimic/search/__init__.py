"""The ask/tell engine of a search: plain data and a queue, free of Ray."""
