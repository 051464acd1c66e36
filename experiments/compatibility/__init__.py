"""What works beside raymimic in Ray Tune, each row from a run."""
