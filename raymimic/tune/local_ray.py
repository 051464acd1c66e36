"""A Ray on this machine for commands of ours, without the lines that Ray prints by itself."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

import ray

# Ray's documented environment variables; what the user has set stays.
_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
_MOST_AT_ONCE = 8


def quieten_ray() -> None:
    """Set what keeps Ray's and Tune's own lines away; call it before either starts."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def start_ray() -> int:
    """Start Ray here if nobody has; return how many trials fit at once (one CPU each)."""
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    return max(1, min(int(ray.cluster_resources().get("CPU", 1)), _MOST_AT_ONCE))


@contextlib.contextmanager
def ray_here() -> Iterator[None]:
    """While the block runs there is a Ray; one that was started for it ends with it."""
    started_here = not ray.is_initialized()
    start_ray()
    try:
        yield
    finally:
        if started_here:
            ray.shutdown()
