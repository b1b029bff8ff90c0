#!/usr/bin/env python3
"""Single operations of PyTorch on a GPU, to lay beside `latimer bench op NAME --shape S --backend cuda`.

    python benches/peers/torch_ops.py benches/gpu/ops.txt
    python benches/peers/torch_ops.py --smoke benches/gpu/ops.txt     # small, on the CPU: does it run?

Each line of the file is an operation as `latimer bench op` takes it: a name, sizes, a type. Operands are
normally distributed, and there are as many sets of them as are larger than the GPU's cache; a time is that
of many launches between two events, divided. Everything is eager PyTorch. Attention is
`scaled_dot_product_attention`, causal, once by each of PyTorch's kernels; backward alone is timed where
the operation is a backward. Prints one line of JSON an operation and kernel, `line` being the file's.
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

SMOKE = "--smoke" in sys.argv
DEVICE = "cpu" if SMOKE else "cuda"
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
# Several times the second-level cache of an H200, 60 MB.
ENOUGH_BYTES = 1 if SMOKE else 256 << 20
MOST_SETS = 16
SECONDS = 0.02 if SMOKE else 0.3
GROUPS = 5


def median_us(make):
    """Median time of one call, over sets of operands that take turns."""
    first, size = make()
    count = max(1, min(MOST_SETS, -(-ENOUGH_BYTES // size)))
    calls = [first] + [make()[0] for _ in range(count - 1)]

    def group(n):
        """Seconds of n calls."""
        if SMOKE:
            begin = time.perf_counter()
            for i in range(n):
                calls[i % count]()
            return time.perf_counter() - begin
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for i in range(n):
            calls[i % count]()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) * 1e-3

    group(max(3, count))
    n = max(count, min(2000, int(SECONDS / GROUPS / max(group(3) / 3, 1e-7))))
    return statistics.median(group(n) for _ in range(GROUPS)) / n * 1e6


def normal(*shape, dtype, grad=False):
    return torch.randn(shape, device=DEVICE, dtype=dtype, requires_grad=grad)


def bytes_of(*tensors):
    return sum(t.numel() * t.element_size() for t in tensors)


def matmul(dtype, m, k, n):
    a, b = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype)
    y = torch.empty(m, n, device=DEVICE, dtype=dtype)
    return lambda: torch.mm(a, b, out=y), bytes_of(a, b, y)


def layer_norm(dtype, n, c):
    x, weight, bias = normal(n, c, dtype=dtype), normal(c, dtype=dtype), normal(c, dtype=dtype)
    return lambda: F.layer_norm(x, (c,), weight, bias), 2 * bytes_of(x)


def add_layer_norm(dtype, n, c):
    x, r = normal(n, c, dtype=dtype), normal(n, c, dtype=dtype)
    weight, bias = normal(c, dtype=dtype), normal(c, dtype=dtype)
    return lambda: F.layer_norm(x + r, (c,), weight, bias), 4 * bytes_of(x)


def backward(y, inputs, dy):
    """The backward of what made y, alone."""
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def layer_norm_backward(dtype, n, c):
    x = normal(n, c, dtype=dtype, grad=True)
    weight, bias = normal(c, dtype=dtype, grad=True), normal(c, dtype=dtype, grad=True)
    y = F.layer_norm(x, (c,), weight, bias)
    return backward(y, (x, weight, bias), torch.randn_like(y)), 4 * bytes_of(x)


def unary(dtype, n):
    x = normal(n, dtype=dtype)
    return lambda: F.gelu(x, approximate="tanh"), 2 * bytes_of(x)


def unary_backward(dtype, n):
    x = normal(n, dtype=dtype, grad=True)
    y = F.gelu(x, approximate="tanh")
    return backward(y, x, torch.randn_like(y)), 4 * bytes_of(x)


def softmax(dtype, n, c):
    x = normal(n, c, dtype=dtype)
    return lambda: F.softmax(x, -1), 2 * bytes_of(x)


def cross_entropy(dtype, n, v):
    x = normal(n, v, dtype=dtype, grad=True)
    targets = torch.randint(v, (n,), device=DEVICE)

    def call():
        return torch.autograd.grad(F.cross_entropy(x.float(), targets), x)

    return call, 2 * bytes_of(x)


def adamw(dtype, n):
    x = torch.nn.Parameter(normal(n, dtype=dtype))
    x.grad = normal(n, dtype=dtype)
    optimizer = torch.optim.AdamW([x], lr=1e-3, fused=True)
    return optimizer.step, 4 * bytes_of(x)


def sum_squares(dtype, n):
    x = normal(n, dtype=dtype)
    return lambda: torch.linalg.vector_norm(x), bytes_of(x)


def axpby(dtype, n):
    x, y = normal(n, dtype=dtype), normal(n, dtype=dtype)
    return lambda: torch.add(x, y, out=y), 3 * bytes_of(x)


def attention(dtype, b, t, n_head, d):
    q, k, v = (normal(b, n_head, t, d, dtype=dtype) for _ in range(3))
    return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True), 4 * bytes_of(q)


def attention_backward(dtype, b, t, n_head, d):
    q, k, v = (normal(b, n_head, t, d, dtype=dtype, grad=True) for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return backward(y, (q, k, v), torch.randn_like(y)), 8 * bytes_of(q)


OPERATIONS = {
    function.__name__: function
    for function in (
        matmul, layer_norm, add_layer_norm, layer_norm_backward, unary, unary_backward, softmax,
        cross_entropy, adamw, sum_squares, axpby, attention, attention_backward,
    )
}
KERNELS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}
if SMOKE:
    KERNELS = {"math": SDPBackend.MATH}


def measure(name, sizes, dtype, kernel):
    make = lambda: OPERATIONS[name](dtype, *sizes)  # noqa: E731
    try:
        if kernel is None:
            return {"median_us": median_us(make)}
        with sdpa_kernel(KERNELS[kernel]):
            return {"median_us": median_us(make)}
    except RuntimeError as error:  # a kernel that this device or version lacks, or no memory
        return {"error": str(error).splitlines()[0]}


def main():
    [path] = [word for word in sys.argv[1:] if not word.startswith("--")]
    device = DEVICE if SMOKE else torch.cuda.get_device_name()
    for line in map(str.strip, open(path)):
        name, sizes, dtype = line.split()
        sizes = [int(size) for size in sizes.split(",")]
        if SMOKE:
            sizes = [min(size, 32) for size in sizes]
        for kernel in KERNELS if name.startswith("attention") else [None]:
            result = measure(name, sizes, DTYPES[dtype], kernel)
            row = {"line": line, "device": device, "torch": torch.__version__, "kernel": kernel, **result}
            print(json.dumps(row), flush=True)
            if not SMOKE:
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
