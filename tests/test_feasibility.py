"""Want of memory is told from other failures by what programs really print."""

from __future__ import annotations

import pytest

from raymimic.feasibility import DIED, OUT_OF_MEMORY, Limit, Measured, memory_failure

RAY_MONITOR = (
    "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.\n"
    "Memory on the node (IP: 10.0.0.1) where the task was running was 31.1GB / 32.0GB (0.97)."
)
# What Ray 2.60 says of a SIGKILL and of a SIGSEGV alike.
RAY_DIED = (
    "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker "
    "exit detail: Worker unexpectedly exits with a connection error code 2. End of file. Some "
    "common causes include: (1) the process was killed by the OOM killer due to high memory usage, "
    "(2) ray stop --force was called, or (3) the worker crashed unexpectedly due to SIGSEGV or "
    "another unexpected error."
)


@pytest.mark.parametrize(
    "text",
    [
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "RuntimeError: CUDA error: out of memory",
        "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate "
        "memory: you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)",
        "RuntimeError: MPS backend out of memory (MPS allocated: 8.00 GB)",
        "MemoryError",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.28 TiB for an array",
        "jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate",
        "tensorflow.python.framework.errors_impl.ResourceExhaustedError: {{function_node ...}}",
        "OSError: [Errno 12] Cannot allocate memory",
        "XGBoostError: std::bad_alloc",
        RAY_MONITOR,
    ],
)
def test_what_ran_out_of_memory_is_recognised(text):
    trace = f'Traceback (most recent call last):\n  File "train.py", line 3, in train\n{text}'
    assert memory_failure(trace) == OUT_OF_MEMORY


@pytest.mark.parametrize(
    "text",
    [
        "subprocess.CalledProcessError: Command '['train']' died with <Signals.SIGKILL: 9>.",
        "RuntimeError: DataLoader worker (pid 77) is killed by signal: Killed.",
        "torch.distributed.elastic ... failed (exitcode: -9) local_rank: 0 (pid: 5)",
        "RuntimeError: the training ended with exit code -9",
        RAY_DIED,
    ],
)
def test_a_process_that_was_killed_may_have_wanted_memory(text):
    assert memory_failure(text) == DIED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ValueError: loss is NaN",
        "RuntimeError: the training ended with exit code 1",
        'Traceback:\n  File "train.py"\n    except MemoryError:  # out of memory\nKeyError: 3',
    ],
)
def test_other_failures_are_no_want_of_memory(text):
    assert memory_failure(text) == ""


def test_a_limit_says_what_is_beyond_it():
    limit = Limit("memory_gb", "<=", 16.0)
    assert Measured(limit, 21.3).text == "memory_gb <= 16: 21.3, over"
    assert Measured(limit, 16.0).text == "memory_gb <= 16: 16, kept"
    assert Measured(Limit("accuracy", ">", 0.9), 0.9).text == "accuracy > 0.9: 0.9, under"
    assert not Measured(limit, None).broken
