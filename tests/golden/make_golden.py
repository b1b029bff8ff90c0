#!/usr/bin/env python3
"""Golden numbers: what PyTorch computes for sixteen tiny models, kept for Latimer's tests.

Each shape becomes one safetensors file beside this script. It holds the weights, one batch, and
what follows from them: attention weights, logits, loss, every gradient, ten AdamW updates and a
greedy continuation. Everything is computed twice from the same f32 weights: in f32, and in f64
under `f64/`. A test can thus ask how far it is from the f64 truth, and compare that with how far
PyTorch's own f32 is.

    python make_golden.py                    # writes every file, prints the errors
    python make_golden.py relu_tied_biased   # writes this one
    python make_golden.py --find-seeds NAME… # only prints the first seed that fits each
    python make_golden.py --check-presets    # only checks the presets' parameter counts

B batch rows, T positions, C embedding width, NH heads, D head width, F feed-forward width, V ids.
"""

import argparse
import itertools
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file


# The model: GPT-2's, with the switches in which the shapes differ.


@dataclass(frozen=True)
class Config:
    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    vocab_size: int
    activation: str  # gelu_tanh | gelu (by erf) | relu
    bias: bool  # of projections, feed-forward layers and norms
    qkv_bias: bool
    tie: bool  # the head is the token embedding
    head_bias: bool
    ff_factor: int = 4
    layer_norm_eps: float = 1e-5
    # The ladder's switches.
    ff_proj: bool = True
    attn_proj: bool = True
    causal: bool = True
    positions: bool = True
    residual: bool = True
    layer_norm: bool = True


def parameter_shapes(c):
    """Every parameter's name (GPT-2's) and shape, in GPT-2's order.

    Linear weights are [in, out] as GPT-2 stores them; the embeddings and the head are [V, C].
    """
    width, ff = c.n_embd, c.ff_factor * c.n_embd
    shapes = {"transformer.wte.weight": (c.vocab_size, width)}
    if c.positions:
        shapes["transformer.wpe.weight"] = (c.block_size, width)

    def declare(name, *shape, bias=c.bias):
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = shape[-1:]

    for i in range(c.n_layer):
        h = f"transformer.h.{i}"
        if c.layer_norm:
            declare(f"{h}.ln_1", width)
        declare(f"{h}.attn.c_attn", width, 3 * width, bias=c.qkv_bias)  # q | k | v, each by head
        if c.attn_proj:
            declare(f"{h}.attn.c_proj", width, width)
        if ff and c.layer_norm:
            declare(f"{h}.ln_2", width)
        if ff:
            declare(f"{h}.mlp.c_fc", width, ff)
        if ff and c.ff_proj:
            declare(f"{h}.mlp.c_proj", ff, width)
    if c.layer_norm:
        declare("transformer.ln_f", width)
    if not c.tie:
        shapes["lm_head.weight"] = (c.vocab_size, width)
    if c.head_bias:
        shapes["lm_head.bias"] = (c.vocab_size,)
    return shapes


def layer_norm(c, p, name, x):
    if not c.layer_norm:
        return x
    weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
    return F.layer_norm(x, (c.n_embd,), weight, bias, eps=c.layer_norm_eps)


def linear(p, name, x):
    y = x @ p[f"{name}.weight"]
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def self_attention(c, p, name, x, seen):
    b, t, _ = x.shape
    head_dim = c.n_embd // c.n_head
    qkv = linear(p, f"{name}.c_attn", x)  # [B, T, 3C]
    heads = [z.view(b, t, c.n_head, head_dim).transpose(1, 2) for z in qkv.split(c.n_embd, dim=-1)]
    q, k, v = heads  # [B, NH, T, D]
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)  # [B, NH, T, T]
    if c.causal:
        future = torch.ones(t, t, dtype=torch.bool).triu(diagonal=1)
        scores = scores.masked_fill(future, -math.inf)
    attention = scores.softmax(dim=-1)
    seen.weights.append(attention.detach())
    y = (attention @ v).transpose(1, 2).reshape(b, t, c.n_embd)  # [B, T, C]
    return linear(p, f"{name}.c_proj", y) if c.attn_proj else y


ACTIVATIONS = {
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "relu": F.relu,
}


def feed_forward(c, p, name, x, seen):
    x = linear(p, f"{name}.c_fc", x)  # [B, T, F]
    seen.kinks.append(x.detach().abs().min().item())
    x = ACTIVATIONS[c.activation](x)
    return linear(p, f"{name}.c_proj", x) if c.ff_proj else x


@dataclass
class Seen:
    """What forward passes met on their way, layer after layer."""

    kinks: list = field(default_factory=list)  # distance of the activation's inputs from its kink
    weights: list = field(default_factory=list)  # of attention, [B, NH, T, T]


def forward(c, p, ids, seen):
    """Logits [B, T, V] for ids [B, T]."""
    x = p["transformer.wte.weight"][ids]  # [B, T, C]
    if c.positions:
        x = x + p["transformer.wpe.weight"][: ids.shape[1]]
    for i in range(c.n_layer):
        h = f"transformer.h.{i}"
        y = self_attention(c, p, f"{h}.attn", layer_norm(c, p, f"{h}.ln_1", x), seen)
        x = x + y if c.residual else y
        if c.ff_factor:
            y = feed_forward(c, p, f"{h}.mlp", layer_norm(c, p, f"{h}.ln_2", x), seen)
            x = x + y if c.residual else y
    x = layer_norm(c, p, "transformer.ln_f", x)
    head = p["transformer.wte.weight"] if c.tie else p["lm_head.weight"]
    logits = x @ head.T
    return logits + p["lm_head.bias"] if c.head_bias else logits


def cross_entropy(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


# What is computed, from weights of either precision.

LEARNING_RATE = 8e-3  # ten updates bring the loss under 1 and the norm to both sides of the clip
EPS = 1e-8


@dataclass(frozen=True)
class Optimizer:
    """What AdamW is told besides the learning rate and EPS."""

    betas: tuple = (0.9, 0.99)
    weight_decay: float = 0.1
    decay_all: bool = False  # or parameters of rank 2 alone
    grad_clip: float = 1.0  # inf for none


UPDATES = 10
PER_UPDATE = ("losses", "grad_norms")  # ten numbers each
PROMPT = 4  # of ids[0]
CONTINUED = 6  # ids beyond the block, so that the window has to slide


def compute(c, optimizer, weights, ids, targets):
    """Everything a file holds besides the weights and the batch, and the smallest margins met."""
    p = {name: w.clone().requires_grad_() for name, w in weights.items()}
    seen, out = Seen(), {}

    logits = forward(c, p, ids, seen)
    loss = cross_entropy(logits, targets)
    loss.backward()
    for layer, weights in enumerate(seen.weights):
        out[f"attention/{layer}"] = weights
    out["logits"] = logits.detach()
    out["loss"] = loss.detach().reshape(1)
    for name, w in p.items():
        out[f"gradients/{name}"] = w.grad.clone()
    gradients = torch.cat([without_key_bias(name, w.grad).flatten() for name, w in p.items()])
    least_gradient = gradients[gradients != 0].abs().min().item()
    out["greedy"], least_gap = greedy(c, p, ids[0, :PROMPT])

    decayed = [w for w in p.values() if w.dim() >= 2 or optimizer.decay_all]
    spared = [w for w in p.values() if not (w.dim() >= 2 or optimizer.decay_all)]
    groups = [
        {"params": decayed, "weight_decay": optimizer.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    # foreach and fused off: the plain loop over parameters, the same in both precisions.
    adamw = torch.optim.AdamW(
        groups, lr=LEARNING_RATE, betas=optimizer.betas, eps=EPS, foreach=False, fused=False
    )
    losses, norms = [], []
    for _ in range(UPDATES):
        adamw.zero_grad(set_to_none=True)
        loss = cross_entropy(forward(c, p, ids, seen), targets)
        loss.backward()
        # Multiplies by min(1, grad_clip / (norm + 1e-6)).
        norms.append(torch.nn.utils.clip_grad_norm_(p.values(), optimizer.grad_clip).detach())
        losses.append(loss.detach())
        adamw.step()
    out["losses"] = torch.stack(losses)
    out["grad_norms"] = torch.stack(norms)
    for name, w in p.items():
        out[f"final/{name}"] = w.detach()
    kink = min(seen.kinks, default=math.inf)
    return out, {"gradient": least_gradient, "gap": least_gap, "kink": kink}


def without_key_bias(name, x):
    """x without the third that belongs to the key bias, where x belongs to a q/k/v bias.

    Softmax ignores a shift of its inputs, so the gradient of a key bias is 0, and what is computed
    for it is rounding noise. Adam divides by the gradient's size and so makes full steps of it.
    """
    if not name.endswith("c_attn.bias"):
        return x
    q, _, v = x.chunk(3)
    return torch.cat([q, v])


@torch.no_grad()
def greedy(c, p, prompt):
    """The prompt, continued by the likeliest id, seeing at most the last block_size ids.

    Also the smallest gap between the likeliest and the second likeliest logit.
    """
    ids, gaps = prompt, []
    while len(ids) < c.block_size + CONTINUED:
        window = ids[-c.block_size :]
        top = forward(c, p, window[None], Seen())[0, -1].topk(2)
        gaps.append((top.values[0] - top.values[1]).item())
        ids = torch.cat([ids, top.indices[:1]])
    return ids, min(gaps)


# The shapes. Sizes are odd or prime on purpose: an exchanged pair of dimensions shows.

BATCH_SIZE = 3
SWITCHES = ("ff_proj", "attn_proj", "causal", "positions", "residual", "layer_norm")
LARGE = dict(n_layer=2, n_head=3, n_embd=24, block_size=11, vocab_size=29)
SMALL = dict(n_layer=2, n_head=2, n_embd=10, block_size=7, vocab_size=17)
RUNG = dict(n_embd=6, block_size=5, vocab_size=13)  # of the ladder


def biases(on, tie):
    """All biases there can be, or none: a head that is the token embedding has none, as GPT-2's."""
    return dict(tie=tie, bias=on, qkv_bias=on, head_bias=on and not tie)


def rung(n_layer, n_head, **switches):
    """A model of the ladder, whose switches are those that its preset has."""
    off = dict(ff_proj=False, residual=False, layer_norm=False)
    biased = dict(bias=True, qkv_bias=False, tie=False, head_bias=True)
    sizes = dict(RUNG, n_layer=n_layer, n_head=n_head)
    return Config(**sizes, activation="relu", **biased, **(off | switches))


BARE = dict(ff_factor=0, attn_proj=False, positions=False)
BLOCKS = dict(ff_factor=4, ff_proj=True, residual=True)
SHAPES = {
    "gelu_tied": Config(**LARGE, activation="gelu_tanh", **biases(True, tie=True)),
    "relu_untied": Config(
        **LARGE, activation="relu", bias=True, qkv_bias=False, tie=False, head_bias=True
    ),
    "gelu_tied_unbiased": Config(**SMALL, activation="gelu_tanh", **biases(False, tie=True)),
    "gelu_untied_biased": Config(**SMALL, activation="gelu_tanh", **biases(True, tie=False)),
    "gelu_untied_unbiased": Config(**SMALL, activation="gelu_tanh", **biases(False, tie=False)),
    "relu_tied_biased": Config(**SMALL, activation="relu", **biases(True, tie=True)),
    "relu_tied_unbiased": Config(**SMALL, activation="relu", **biases(False, tie=True)),
    "relu_untied_biased": Config(**SMALL, activation="relu", **biases(True, tie=False)),
    "relu_untied_unbiased": Config(**SMALL, activation="relu", **biases(False, tie=False)),
    "gelu_erf_tied_biased": Config(**SMALL, activation="gelu", **biases(True, tie=True)),
    "lm0": rung(1, 1, **BARE, causal=False),
    "lm1": rung(1, 1, **BARE),
    "lm2": rung(1, 2, ff_factor=0),
    "lm3": rung(1, 2, ff_factor=1),
    "lm4": rung(4, 2, **BLOCKS),
    "lm5": rung(2, 2, **BLOCKS, layer_norm=True),
}
# The ladder trains with PyTorch's own AdamW, GPTs as nanoGPT does.
DEFAULTS = Optimizer(betas=(0.9, 0.999), weight_decay=0.01, decay_all=True, grad_clip=math.inf)
OPTIMIZERS = {name: DEFAULTS if name.startswith("lm") else Optimizer() for name in SHAPES}
# The large shapes' were chosen by hand among 1 to 119; --find-seeds prints the small ones'.
SEEDS = {
    "gelu_tied": 110,
    "relu_untied": 93,
    "gelu_tied_unbiased": 11,
    "gelu_untied_biased": 18,
    "gelu_untied_unbiased": 4,
    "relu_tied_biased": 121,
    "relu_tied_unbiased": 7,
    "relu_untied_biased": 1,
    "relu_untied_unbiased": 10,
    "gelu_erf_tied_biased": 62,
    "lm0": 4,
    "lm1": 4,
    "lm2": 1,
    "lm3": 34,
    "lm4": 37,
    "lm5": 45,
}


def draw_weights(c, generator):
    """Large enough that no gradient is lost in rounding: 0.2 N for matrices, 0.1 N for biases,
    1 + 0.1 N for layer-norm weights. Where no norm and no residual keeps what comes in at its size,
    matrices are larger, or nothing but the head's bias would be left of it."""
    matrix = 0.2 if c.layer_norm else 0.3 if c.residual else 0.6
    weights = {}
    for name, shape in parameter_shapes(c).items():
        x = torch.randn(shape, generator=generator)
        if len(shape) == 2:
            weights[name] = matrix * x
        else:
            weights[name] = 0.1 * x + (1.0 if name.endswith("weight") else 0.0)
    return weights


def draw(c, seed):
    """The weights, and one batch of ids and of the targets one to their right."""
    generator = torch.Generator().manual_seed(seed)
    weights = draw_weights(c, generator)
    stream = torch.randint(c.vocab_size, (BATCH_SIZE, c.block_size + 1), generator=generator)
    return weights, stream[:, :-1], stream[:, 1:]


def compute_twice(c, optimizer, weights, ids, targets):
    """What `compute` gives in f32 and in f64, and the smaller of their margins."""
    single, single_margins = compute(c, optimizer, weights, ids, targets)
    wide = {name: w.double() for name, w in weights.items()}
    double, double_margins = compute(c, optimizer, wide, ids, targets)
    margins = {key: min(single_margins[key], double_margins[key]) for key in single_margins}
    return single, double, margins


def misfit(c, single, double, margins):
    """Why the numbers would be unfit for comparison, if they are: what hangs on rounding, be it the
    likeliest id, the side of the kink, or the first Adam step of a gradient that is all but 0."""
    if not torch.equal(single["greedy"], double["greedy"]) or margins["gap"] <= 0.02:
        return "greedy ids hang on rounding"
    if margins["gradient"] <= 5e-7:
        return "a gradient is all but 0"
    if c.activation == "relu" and margins["kink"] <= 5e-5:
        return "a ReLU's input is all but 0"
    return None


def find_seed(c, optimizer):
    """The first seed that fits, whose f32 updates stay near the f64 ones (so that they do not
    magnify rounding), and whose greedy continuation is lively: at least four ids in it."""
    for seed in itertools.count(1):
        single, double, margins = compute_twice(c, optimizer, *draw(c, seed))
        updated = [k for k in single if k.startswith("final/") or k == "grad_norms"]
        error = max(without_key_bias(k, single[k] - double[k]).abs().max() for k in updated)
        lively = len(single["greedy"][PROMPT:].unique()) >= 4
        if misfit(c, single, double, margins) is None and error < 1e-6 and lively:
            return seed


def in_every_order(c, optimizer, weights, ids, targets):
    """Losses and norms of f32 once more, with the batch's rows in every order.

    That changes nothing but roundings, and ten numbers are few: the error of one run is an
    accident, the worst of six is a measure.
    """
    orders = [list(order) for order in itertools.permutations(range(BATCH_SIZE))]
    runs = [compute(c, optimizer, weights, ids[o], targets[o])[0] for o in orders]
    return {f"orders/{key}": torch.stack([run[key] for run in runs]) for key in PER_UPDATE}


def make(name, folder):
    c, optimizer, seed = SHAPES[name], OPTIMIZERS[name], SEEDS[name]
    weights, ids, targets = draw(c, seed)
    single, double, margins = compute_twice(c, optimizer, weights, ids, targets)
    reason = misfit(c, single, double, margins)
    assert reason is None, (name, reason, margins)

    tensors = {f"weights/{key}": w for key, w in weights.items()}
    tensors |= {"ids": ids, "targets": targets}
    if c.block_size == LARGE["block_size"]:  # the small files are enough for these
        for layer in range(c.n_layer):
            del single[f"attention/{layer}"], double[f"attention/{layer}"]
    else:
        tensors |= in_every_order(c, optimizer, weights, ids, targets)
    tensors |= single
    tensors |= {f"f64/{key}": x for key, x in double.items() if key != "greedy"}
    parameters = sum(w.numel() for w in weights.values())
    # A switch of the ladder's is named where it is off.
    model = {key: value for key, value in asdict(c).items() if not (key in SWITCHES and value)}
    about = {
        "torch": torch.__version__,
        "seed": seed,
        "batch_size": BATCH_SIZE,
        "parameters": parameters,
        "model": model,
        "adamw": {
            "lr": LEARNING_RATE,
            "beta1": optimizer.betas[0],
            "beta2": optimizer.betas[1],
            "eps": EPS,
            "weight_decay": optimizer.weight_decay,
            "decayed": "all" if optimizer.decay_all else "rank >= 2",
            "grad_clip": optimizer.grad_clip if math.isfinite(optimizer.grad_clip) else None,
            "updates": UPDATES,
        },
    }
    path = folder / f"{name}.safetensors"
    # One metadata key: the format leaves the order of several open, and the bytes should not vary.
    tensors = {key: x.contiguous() for key, x in tensors.items()}
    save_file(tensors, path, metadata={"latimer-golden": json.dumps(about)})
    assert path.stat().st_size < 1_500_000, "golden files stay small"
    report(name, path, parameters, single, double, margins)


def report(name, path, parameters, single, double, margins):
    print(f"{name}: {parameters} parameters, {path.stat().st_size} bytes")
    for key in PER_UPDATE:
        print(f"  {key}: {' '.join(f'{x:.6f}' for x in double[key].tolist())}")
    print(f"  greedy: {single['greedy'].tolist()}")
    print(f"  least gap between the two best logits of a greedy step: {margins['gap']:.1e}")
    print(f"  least |gradient| that is not 0, key biases aside: {margins['gradient']:.1e}")
    print(f"  least |input of the activation| over all updates: {margins['kink']:.1e}")
    print("  largest |f32 - f64|, largest |f64|, where the error is largest (key biases aside):")
    for group in ("attention/", "logits", "loss", "losses", "grad_norms", "gradients/", "final/"):
        keys = [key for key in single if key == group or "/" in group and key.startswith(group)]
        if not keys:
            continue
        kept = {key: without_key_bias(key, double[key]) for key in keys}
        errors = {key: (without_key_bias(key, single[key]) - kept[key]).abs().max() for key in keys}
        worst = max(keys, key=errors.get)
        size = max(x.abs().max() for x in kept.values())
        print(f"    {group:11} {errors[worst]:.1e}  {size:.1e}  {worst}")


# The presets' parameter counts, by closed formula and by adding up the shapes.

GPT2 = dict(activation="gelu_tanh", bias=True, qkv_bias=True, head_bias=False)
PRESETS = {
    "seed": (Config(2, 2, 32, 16, 256, tie=False, **GPT2), 42_368),
    "baby": (Config(4, 4, 128, 64, 65, tie=True, **GPT2), 809_856),
    "char10m": (Config(6, 6, 384, 256, 65, tie=True, **GPT2), 10_770_816),
    "gpt2-124m": (Config(12, 12, 768, 1024, 50257, tie=True, **GPT2), 124_439_808),
    "scaled": (
        Config(
            *(6, 6, 384, 256, 65),
            activation="relu",
            bias=True,
            qkv_bias=False,
            tie=False,
            head_bias=True,
        ),
        10_788_929,
    ),
}


def parameter_count(c):
    """V C + T C, L (12 C^2 + 2 C + 8 C with biases + 3 C with q/k/v biases), C + C with biases, and
    the head's own V C and V."""
    width, vocab = c.n_embd, c.vocab_size
    assert c.ff_factor == 4, "the formula has the 4 multiplied out"
    block = 12 * width**2 + 2 * width + 8 * width * c.bias + 3 * width * c.qkv_bias
    head = vocab * width * (not c.tie) + vocab * c.head_bias
    norm = width + width * c.bias
    return vocab * width + c.block_size * width + c.n_layer * block + norm + head


def check_presets():
    for name, (c, expected) in PRESETS.items():
        added = sum(math.prod(shape) for shape in parameter_shapes(c).values())
        assert parameter_count(c) == added == expected, (name, parameter_count(c), added, expected)
        print(f"{name}: {added:,} parameters")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="which files to write (default: all)")
    parser.add_argument("--check-presets", action="store_true", help="only check parameter counts")
    parser.add_argument("--find-seeds", action="store_true", help="only look for seeds that fit")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder to write to (default: here)"
    )
    args = parser.parse_args()
    if unknown := set(args.names) - set(SHAPES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(SHAPES)}")
    if args.check_presets:
        check_presets()
        return
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    print(f"torch {torch.__version__}")
    for name in args.names or SHAPES:
        if args.find_seeds:
            print(f"{name}: {find_seed(SHAPES[name], OPTIMIZERS[name])}", flush=True)
        else:
            make(name, args.out)


if __name__ == "__main__":
    main()
