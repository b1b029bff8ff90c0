#!/usr/bin/env python3
"""Single operations of PyTorch on a GPU, to lay beside `latimer bench op NAME --backend cuda`.

    python benches/peers/torch_ops.py [NAME…]

Attention is `scaled_dot_product_attention`, causal, bf16, by each of PyTorch's kernels; TFLOP/s count
the causal half: 2·B·NH·T²·D forward, 3.5 times that forward and backward. Row operations count each
input read once and each output written once. Prints one line of JSON an operation. `--smoke` tries
the script on a CPU with small sizes.
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

SMOKE = "--smoke" in sys.argv
NAMES = [name for name in sys.argv[1:] if not name.startswith("--")]
DEVICE = "cpu" if SMOKE else "cuda"


def median_ms(work, runs=30):
    """Median time of one call, by events on the device."""
    for _ in range(3):
        work()
    times = []
    for _ in range(3 if SMOKE else runs):
        if SMOKE:
            begin = time.perf_counter()
            work()
            times.append((time.perf_counter() - begin) * 1e3)
        else:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
    return statistics.median(times)


def attention(kernel, head_dim, seq_len, backward):
    n_head, batch = 2048 // head_dim, max(1, 16384 // seq_len)
    if SMOKE:
        n_head, batch, seq_len, kernel = 2, 1, 32, SDPBackend.MATH
    shape = (batch, n_head, seq_len, head_dim)
    q, k, v = (torch.randn(shape, device=DEVICE, dtype=torch.bfloat16, requires_grad=backward) for _ in range(3))
    dy = torch.randn_like(q)

    def work():
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return torch.autograd.grad(y, (q, k, v), dy) if backward else y

    with sdpa_kernel(kernel):
        ms = median_ms(work)
    flops = 2 * batch * n_head * seq_len**2 * head_dim * (3.5 if backward else 1)
    return {"shape": shape, "median_us": ms * 1e3, "tflops": flops / ms / 1e9}


def rows(function, n, c, dtype):
    if SMOKE:
        n, c = 8, 64
    x = torch.randn(n, c, device=DEVICE, dtype=dtype)
    ms = median_ms(lambda: function(x))
    return {"shape": (n, c), "median_us": ms * 1e3, "gb_s": 2 * n * c * x.element_size() / ms / 1e6}


def matmul(n, dtype):
    n = 64 if SMOKE else n
    a, b = (torch.randn(n, n, device=DEVICE, dtype=dtype) for _ in range(2))
    ms = median_ms(lambda: a @ b)
    return {"shape": (n, n, n), "median_us": ms * 1e3, "tflops": 2 * n**3 / ms / 1e9}


def benches():
    for dtype in (torch.float32, torch.bfloat16):
        kind = str(dtype).removeprefix("torch.")
        for n in (2048, 8192):
            yield f"matmul {kind}", lambda n=n, dtype=dtype: matmul(n, dtype)
        for n, c in ((65536, 1024), (8192, 50304)):
            yield f"softmax {kind}", lambda n=n, c=c, dtype=dtype: rows(lambda x: F.softmax(x, -1), n, c, dtype)
        norm = lambda x: F.layer_norm(x, x.shape[-1:])  # noqa: E731
        yield f"layer_norm {kind}", lambda dtype=dtype: rows(norm, 65536, 768, dtype)
        gelu = lambda x: F.gelu(x, approximate="tanh")  # noqa: E731
        yield f"gelu {kind}", lambda dtype=dtype: rows(gelu, 65536, 3072, dtype)
    kernels = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}
    for name, kernel in kernels.items():
        for head_dim in (64, 128):
            for seq_len in (1024, 4096):
                for backward in (False, True):
                    label = f"attention {name} {'forward+backward' if backward else 'forward'}"
                    yield label, lambda k=kernel, d=head_dim, t=seq_len, b=backward: attention(k, d, t, b)


def main():
    for name, bench in benches():
        if NAMES and not any(asked in name for asked in NAMES):
            continue
        try:
            result = bench()
        except RuntimeError as error:  # a kernel that this device or version lacks
            result = {"error": str(error).splitlines()[0]}
        device = DEVICE if SMOKE else torch.cuda.get_device_name()
        print(json.dumps({"op": name, "device": device, **result}), flush=True)


if __name__ == "__main__":
    main()
