#!/usr/bin/env python3
"""A GPT training step in PyTorch, to lay beside `latimer bench train --preset P --json`; with
`--generate N`, decoding, to lay beside `latimer bench generate --preset P --new-tokens N --json`.

    python benches/peers/torch_gpt.py baby                          # eager, f32, on the CPU
    python benches/peers/torch_gpt.py baby --mode compile --dtype bf16
    python benches/peers/torch_gpt.py char10m --device cuda --mode graph
    python benches/peers/torch_gpt.py char10m --generate 128 --threads 1

The model is the preset's: GPT-2's block (norms first, GELU's tanh form, biases, learned positions),
the head tied to the embedding (`seed` has its own), no dropout. A step is what a trainer does: a batch
of random tokens, forward, loss over every position, backward, clipping where the preset clips, fused
AdamW, gradients cleared. Modes: `eager`; `compile` (torch.compile); `graph` (the whole step in one CUDA
graph: the least overhead PyTorch can have). On a GPU a step's time is taken between events around it.
Decoding is greedy, batch 1 unless told otherwise, from a prompt of one token, over a cache of keys and
values that is there before the first token; in bf16 the weights are bf16. `--steps` and `--warmup` then
count texts. Prints one line of JSON.
"""

import argparse
import json
import os
import resource
import statistics
import time
from dataclasses import dataclass

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("preset")
parser.add_argument("--mode", choices=["eager", "compile", "graph"], default="eager")
parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32", help="bf16 is autocast's")
parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch-size", type=int, help="instead of the preset's")
parser.add_argument("--seq-len", type=int, help="instead of the preset's")
parser.add_argument("--steps", type=int, default=50)
parser.add_argument("--warmup", type=int, default=5)
parser.add_argument("--generate", type=int, metavar="N", help="decode N tokens instead of training")
parser.add_argument("--seconds", type=float, default=60.0, help="stop after so long")
ARGS = parser.parse_args()
os.environ.setdefault("OMP_NUM_THREADS", str(ARGS.threads))

import torch  # noqa: E402  (the number of threads is set first)
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402


@dataclass(frozen=True)
class Preset:
    batch_size: int
    block_size: int
    n_embd: int
    n_head: int
    n_layer: int
    vocab_size: int
    seq_len: int = 0  # positions of a row; 0 for block_size
    tie: bool = True
    clip: float = 1.0
    weight_decay: float = 0.1
    beta2: float = 0.99


PRESETS = {
    "seed": Preset(64, 16, 32, 2, 2, 256, tie=False, clip=0.0, weight_decay=0.01, beta2=0.999),
    "baby": Preset(12, 64, 128, 4, 4, 65),
    "char10m": Preset(64, 256, 384, 6, 6, 65),
    "char10m-b8": Preset(8, 256, 384, 6, 6, 65),
    # As nanoGPT pads it: products are faster for it.
    "gpt2-124m": Preset(4, 1024, 768, 12, 12, 50304, seq_len=64, beta2=0.95),
}


class Block(nn.Module):
    def __init__(self, p):
        super().__init__()
        c = p.n_embd
        self.n_head = p.n_head
        self.ln_1, self.ln_2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.c_attn, self.c_proj = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.fc, self.proj = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)

    def forward(self, x, cache=None, position=0):
        b, t, c = x.shape
        heads = self.c_attn(self.ln_1(x)).view(b, t, 3, self.n_head, c // self.n_head)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # [B, NH, T, D] each
        if cache is not None:  # one new position, [B, NH, 1, D], which sees all before it
            cache[:, :, :, position : position + 1] = torch.stack((k, v))
            k, v = cache[:, :, :, : position + 1]  # [B, NH, position + 1, D] each
        y = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        x = x + self.c_proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.proj(F.gelu(self.fc(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.wte = nn.Embedding(p.vocab_size, p.n_embd)
        self.wpe = nn.Embedding(p.block_size, p.n_embd)
        self.h = nn.ModuleList(Block(p) for _ in range(p.n_layer))
        self.ln_f = nn.LayerNorm(p.n_embd)
        self.head = nn.Linear(p.n_embd, p.vocab_size, bias=False)
        if p.tie:
            self.head.weight = self.wte.weight
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets):
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.h:
            x = block(x)
        logits = self.head(self.ln_f(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def decode(self, ids, caches, position):
        """The likeliest token after `ids`, [B, 1], which stand at `position`: [B, 1]."""
        x = self.wte(ids) + self.wpe.weight[position]
        for block, cache in zip(self.h, caches):
            x = block(x, cache, position)
        return self.head(self.ln_f(x)).argmax(-1)


@torch.inference_mode()
def generate(preset):
    """Times tokens of texts on random weights."""
    batch_size = ARGS.batch_size or 1
    dtype = torch.bfloat16 if ARGS.dtype == "bf16" else torch.float32
    model = Gpt(preset).to(ARGS.device, dtype).eval()
    shape = (2, batch_size, preset.n_head, preset.block_size, preset.n_embd // preset.n_head)
    caches = [torch.zeros(shape, dtype=dtype, device=ARGS.device) for _ in model.h]
    decode = torch.compile(model.decode, dynamic=True) if ARGS.mode == "compile" else model.decode
    prompt = torch.randint(preset.vocab_size, (batch_size, 1), device=ARGS.device)
    first, later = [], []
    for text in range(ARGS.warmup + ARGS.steps):
        ids, times = prompt, []
        for position in range(ARGS.generate):
            started = time.perf_counter()
            ids = decode(ids, caches, position)
            ids.tolist()  # as a program that shows the token has to
            times.append((time.perf_counter() - started) * 1e3)
        if text >= ARGS.warmup:
            first.append(times[0])
            later.extend(times[1:])
    median = statistics.median(later)
    print(
        json.dumps(
            {
                "program": f"pytorch {torch.__version__.split('+')[0]}",
                "preset": ARGS.preset,
                "mode": ARGS.mode,
                "dtype": ARGS.dtype,
                "threads": ARGS.threads,
                "params": sum(p.numel() for p in model.parameters()),
                "batch_size": batch_size,
                "new_tokens": ARGS.generate,
                "tokens_per_s": batch_size / median * 1e3,
                "ms_per_token": {"median": median, "min": min(later), "max": max(later)},
                "first_token_ms": statistics.median(first),
                "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def main():
    preset = PRESETS[ARGS.preset]
    device = torch.device(ARGS.device)
    on_gpu = ARGS.device == "cuda"
    if ARGS.mode == "graph" and not on_gpu:
        parser.error("--mode graph needs --device cuda")
    torch.set_num_threads(ARGS.threads)
    torch.manual_seed(1)
    if ARGS.generate is not None:
        if not 2 <= ARGS.generate <= preset.block_size:
            parser.error(f"--generate takes 2 to {preset.block_size} tokens for {ARGS.preset}")
        return generate(preset)
    batch_size = ARGS.batch_size or preset.batch_size
    seq_len = ARGS.seq_len or preset.seq_len or preset.block_size
    model = Gpt(preset).to(device)
    parameters = list(model.parameters())
    captured = ARGS.mode == "graph"
    options = {"capturable": True} if captured else {}
    adamw = torch.optim.AdamW(
        parameters,
        lr=1e-3,
        betas=(0.9, preset.beta2),
        weight_decay=preset.weight_decay,
        fused=True,
        **options,
    )
    autocast = torch.autocast(ARGS.device, dtype=torch.bfloat16, enabled=ARGS.dtype == "bf16")

    def loss_of(ids, targets):
        with autocast:
            return model(ids, targets)

    forward = torch.compile(loss_of) if ARGS.mode == "compile" else loss_of

    def step(ids, targets):
        loss = forward(ids, targets)
        loss.backward()
        if preset.clip > 0:
            nn.utils.clip_grad_norm_(parameters, preset.clip)
        adamw.step()
        adamw.zero_grad(set_to_none=not captured)
        return loss

    def batch():
        rows = torch.randint(preset.vocab_size, (batch_size, seq_len + 1))
        return rows[:, :-1].to(device).contiguous(), rows[:, 1:].to(device).contiguous()

    first_loss = step(*batch()).item()
    if captured:
        ids, targets = batch()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step(ids, targets)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            kept = step(ids, targets)

        def run(new_ids, new_targets):
            ids.copy_(new_ids)
            targets.copy_(new_targets)
            graph.replay()
            return kept
    else:
        run = step

    times, begin, loss = [], time.perf_counter(), None
    for i in range(ARGS.warmup + ARGS.steps):
        if i > ARGS.warmup and time.perf_counter() - begin > ARGS.seconds:
            break
        if on_gpu:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            rows = batch()
            start.record()
            loss = run(*rows)
            end.record()
            end.synchronize()
            milliseconds = start.elapsed_time(end)
        else:
            started = time.perf_counter()
            loss = run(*batch())
            milliseconds = (time.perf_counter() - started) * 1e3
        if i >= ARGS.warmup:
            times.append(milliseconds)
    median = statistics.median(times)
    memory = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None
    result = {
        "program": f"pytorch {torch.__version__.split('+')[0]}",
        "preset": ARGS.preset,
        "mode": ARGS.mode,
        "dtype": ARGS.dtype,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "threads": ARGS.threads,
        "batch_size": batch_size,
        "seq_len": seq_len,
        "params": sum(p.numel() for p in parameters),
        "step_ms": {"median": median, "min": min(times), "max": max(times)},
        "steps": len(times),
        "tokens_per_s": batch_size * seq_len / median * 1e3,
        "loss_first": first_loss,
        "loss_last": loss.item(),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "device_memory_mb": memory,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
