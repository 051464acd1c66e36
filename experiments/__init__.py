"""Studies of the package; run each as a module: ``python -m experiments.STUDY.MODULE``."""
