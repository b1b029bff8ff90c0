#!/usr/bin/env python3
"""The ladder's six models in PyTorch, to lay losses beside those of `latimer train --preset lm0` … `lm5`.

    python benches/peers/ladder.py shakespeare.txt                 # six models, seeds 1, 2, 3
    python benches/peers/ladder.py shakespeare.txt --models lm3 --seeds 1 2
    python benches/peers/ladder.py shakespeare.txt --evaluate RUN  # a checkpoint of Latimer's, here

Needs `pip install torch numpy safetensors`. Each training run prints one line of JSON. `val_loss` is
the mean over the whole validation split, in windows side by side, as `latimer train` reports at the
end; `val_estimate` is the tutorial's measure, the mean over 100 random batches of it.

Layers begin as PyTorch makes them, the optimizer is its AdamW by its defaults, rows begin anywhere in
the training split, independently.
"""

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

BATCH_SIZE, BLOCK_SIZE, N_EMBD = 64, 16, 32
LEARNING_RATE, VAL_FRACTION, EVAL_ITERS = 3e-4, 0.2, 100


@dataclass(frozen=True)
class Rung:
    n_layer: int = 1
    n_head: int = 2
    ff_factor: int = 0
    ff_proj: bool = False
    attn_proj: bool = True
    causal: bool = True
    positions: bool = True
    residual: bool = False
    layer_norm: bool = False


LADDER = {
    "lm0": Rung(n_head=1, attn_proj=False, positions=False, causal=False),
    "lm1": Rung(n_head=1, attn_proj=False, positions=False),
    "lm2": Rung(),
    "lm3": Rung(ff_factor=1),
    "lm4": Rung(n_layer=4, ff_factor=4, ff_proj=True, residual=True),
    "lm5": Rung(n_layer=2, ff_factor=4, ff_proj=True, residual=True, layer_norm=True),
}
# By hand, for 65 characters.
PARAMETERS = {"lm0": 7297, "lm1": 7297, "lm2": 8865, "lm3": 9921, "lm4": 54657, "lm5": 30017}


class Attention(nn.Module):
    def __init__(self, rung):
        super().__init__()
        self.n_head, self.causal = rung.n_head, rung.causal
        self.c_attn = nn.Linear(N_EMBD, 3 * N_EMBD, bias=False)
        self.c_proj = nn.Linear(N_EMBD, N_EMBD) if rung.attn_proj else nn.Identity()

    def forward(self, x):
        b, t, c = x.shape
        qkv = self.c_attn(x).view(b, t, 3, self.n_head, c // self.n_head)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # [B, NH, T, D] each
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.c_proj(y.transpose(1, 2).reshape(b, t, c))


class FeedForward(nn.Module):
    def __init__(self, rung):
        super().__init__()
        inner = rung.ff_factor * N_EMBD
        self.c_fc = nn.Linear(N_EMBD, inner)
        self.c_proj = nn.Linear(inner, N_EMBD) if rung.ff_proj else nn.Identity()

    def forward(self, x):
        return self.c_proj(self.c_fc(x).relu())


class Block(nn.Module):
    def __init__(self, rung):
        super().__init__()
        self.residual = rung.residual
        parts = [("attn", Attention(rung))]
        if rung.ff_factor:
            parts.append(("mlp", FeedForward(rung)))
        self.parts = [name for name, _ in parts]
        for number, (name, part) in enumerate(parts, start=1):
            self.add_module(name, part)
            norm = nn.LayerNorm(N_EMBD) if rung.layer_norm else nn.Identity()
            self.add_module(f"ln_{number}", norm)

    def forward(self, x):
        for number, name in enumerate(self.parts, start=1):
            y = self.get_submodule(name)(self.get_submodule(f"ln_{number}")(x))
            x = x + y if self.residual else y
        return x


class Model(nn.Module):
    """Named as GPT-2's files are, so that a checkpoint of Latimer's can be put in."""

    def __init__(self, rung, vocab_size):
        super().__init__()
        self.wte = nn.Embedding(vocab_size, N_EMBD)
        self.wpe = nn.Embedding(BLOCK_SIZE, N_EMBD) if rung.positions else None
        self.h = nn.ModuleList(Block(rung) for _ in range(rung.n_layer))
        self.ln_f = nn.LayerNorm(N_EMBD) if rung.layer_norm else nn.Identity()
        self.lm_head = nn.Linear(N_EMBD, vocab_size)

    def forward(self, ids):
        x = self.wte(ids)  # [B, T, C]
        if self.wpe is not None:
            x = x + self.wpe.weight[: ids.shape[1]]
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))  # [B, T, V]

    def loss(self, rows):
        """Mean cross-entropy in nats of each id of `rows: [B, T + 1]` but the first."""
        logits = self(rows[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def load(path):
    """The text's ids, in training and validation split, and the number of its characters."""
    text = Path(path).read_text(encoding="utf-8")
    number = {c: i for i, c in enumerate(sorted(set(text)))}
    ids = torch.tensor([number[c] for c in text])
    cut = int(len(ids) * (1 - VAL_FRACTION))
    return ids[:cut], ids[cut:], len(number)


def draw(ids, generator):
    starts = torch.randint(len(ids) - BLOCK_SIZE, (BATCH_SIZE, 1), generator=generator)
    return ids[starts + torch.arange(BLOCK_SIZE + 1)]  # [B, T + 1]


@torch.no_grad()
def whole_loss(model, ids):
    """Over all windows of BLOCK_SIZE predictions side by side, the last one shorter."""
    whole = (len(ids) - 1) // BLOCK_SIZE
    windows = ids[: whole * BLOCK_SIZE + 1].unfold(0, BLOCK_SIZE + 1, BLOCK_SIZE)
    total = sum(model.loss(part).double() * part[:, 1:].numel() for part in windows.split(1024))
    rest = ids[whole * BLOCK_SIZE :]
    if len(rest) > 1:
        total += model.loss(rest[None]).double() * (len(rest) - 1)
    return (total / (len(ids) - 1)).item()


@torch.no_grad()
def estimate(model, ids, generator):
    return sum(model.loss(draw(ids, generator)).item() for _ in range(EVAL_ITERS)) / EVAL_ITERS


def train(name, seed, data, max_iters):
    training, validation, vocab_size = data
    torch.manual_seed(seed)  # layers
    generator = torch.Generator().manual_seed(seed)  # batches
    model = Model(LADDER[name], vocab_size)
    parameters = sum(p.numel() for p in model.parameters())
    assert vocab_size != 65 or parameters == PARAMETERS[name], (name, parameters)
    adamw = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    times = []  # ms
    for _ in range(max_iters):
        start = time.perf_counter()
        adamw.zero_grad(set_to_none=True)
        model.loss(draw(training, generator)).backward()
        adamw.step()
        times.append(1e3 * (time.perf_counter() - start))
    return {
        "program": f"pytorch {torch.__version__.split('+')[0]}",
        "model": name,
        "seed": seed,
        "parameters": parameters,
        "steps": max_iters,
        "val_loss": round(whole_loss(model, validation), 5),
        "val_estimate": round(estimate(model, validation, generator), 5),
        "train_estimate": round(estimate(model, training, generator), 5),
        "step_ms_median": round(statistics.median(times), 3),
        "step_ms_min": round(min(times), 3),
    }


def evaluate(run, data):
    """The loss of a run's newest checkpoint, by this program."""
    from safetensors.torch import load_file

    run = Path(run)
    folder = run / (run / "latest").read_text().strip()
    config = json.loads((folder / "config.json").read_text())
    rung = Rung(**{key: config[key] for key in Rung.__dataclass_fields__})
    model = Model(rung, data[2])
    weights = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        # Linear layers of blocks are [in, out] in GPT-2's files.
        turn = weight.dim() == 2 and ".h." in name
        weights[name.removeprefix("transformer.")] = weight.T if turn else weight
    model.load_state_dict(weights)
    return {"run": run.name, "val_loss": round(whole_loss(model, data[1]), 5)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--models", nargs="+", choices=LADDER, default=list(LADDER))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--max-iters", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evaluate", metavar="RUN", nargs="+")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = load(args.text)
    for run in args.evaluate or []:
        print(json.dumps(evaluate(run, data)), flush=True)
    if not args.evaluate:
        for name in args.models:
            for seed in args.seeds:
                print(json.dumps(train(name, seed, data, args.max_iters)), flush=True)


if __name__ == "__main__":
    main()
