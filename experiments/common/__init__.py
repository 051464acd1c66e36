"""What several studies use. Studies import this, and never each other."""
