"""What real model servers send, and what a search loses to each of their quirks."""
