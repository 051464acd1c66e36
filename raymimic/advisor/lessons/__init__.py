"""What a search learnt, written for people and read by the next search."""
