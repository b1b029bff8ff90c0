#!/usr/bin/env python3
"""Golden numbers of one attention head: what PyTorch computes, kept for the tutorial's lessons.

Queries, keys and values go through three linear maps without bias, C to C; the scores are
q·kᵀ·C^-0.5, softmax runs over the last axis, and there is no mask. Weights, inputs and an upstream
gradient are drawn at random; the file holds them with the weights of attention, the output and
every gradient, in f32 and, under `f64/`, in f64 from the same f32 numbers.

    python make_head.py    # writes head.safetensors beside this script

T queries, N keys, C columns. Weights are stored `[in, out]`, the transpose of PyTorch's `Linear`.
"""

import json
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

T, N, C, SEED = 5, 7, 32, 20
INPUTS = ("query", "key", "value")


class Head(nn.Module):
    """softmax(q·kᵀ·C^-0.5)·v of three mapped inputs."""

    def __init__(self):
        super().__init__()
        for name in INPUTS:
            setattr(self, name, nn.Linear(C, C, bias=False))

    def forward(self, query, key, value):
        q, k, v = self.query(query), self.key(key), self.value(value)
        weights = F.softmax(q @ k.transpose(-2, -1) * C**-0.5, dim=-1)  # [T, N]
        return weights, weights @ v  # [T, C]


def computed(head, inputs, upstream):
    """Attention weights, output and gradients, by name."""
    inputs = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    weights, output = head(*(inputs[name] for name in INPUTS))
    (output * upstream).sum().backward()
    found = {"weights_of_attention": weights, "output": output}
    for name in INPUTS:
        found[f"gradients/{name}.weight"] = getattr(head, name).weight.grad.T
        found[f"gradients/{name}"] = inputs[name].grad
    return {name: x.detach().contiguous() for name, x in found.items()}


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    head = Head()
    # Larger than the first weights of training, so that the softmax is far from even.
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(3)
    inputs = {"query": torch.randn(T, C), "key": torch.randn(N, C), "value": torch.randn(N, C)}
    upstream = torch.randn(T, C)
    tensors = {f"inputs/{name}": x for name, x in inputs.items()} | {"upstream": upstream}
    for name in INPUTS:
        tensors[f"weights/{name}.weight"] = getattr(head, name).weight.detach().T.contiguous()
    tensors |= computed(head, inputs, upstream)
    double = Head().double()
    double.load_state_dict({name: x.double() for name, x in head.state_dict().items()})
    inputs = {name: x.double() for name, x in inputs.items()}
    for name, x in computed(double, inputs, upstream.double()).items():
        tensors[f"f64/{name}"] = x
        error = (x - tensors[name].double()).abs().max().item()
        print(f"{name:28} up to {x.abs().max().item():.3g}, f32 within {error:.1e}")
    metadata = json.dumps({"T": T, "N": N, "C": C, "seed": SEED, "torch": torch.__version__})
    path = Path(__file__).parent / "head.safetensors"
    save_file(tensors, path, {"latimer-golden": metadata})


if __name__ == "__main__":
    main()
