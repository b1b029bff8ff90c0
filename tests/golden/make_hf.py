#!/usr/bin/env python3
"""Hugging Face GPT-2 folders, and what transformers computes with them.

Each folder of `hf/` is what `save_pretrained` writes for a tiny `GPT2LMHeadModel` (a few are then
changed by hand, as files from elsewhere are), with one file more: `expected.safetensors`. That holds
`ids` and what the model gives for them when it is loaded again from the folder, in f32 on the CPU:
`logits`, and `attention/<layer>`. For `everything` it also holds every gradient of the mean
next-token loss, in f32 and, under `f64/`, in f64 from the same f32 weights.

    python make_hf.py    # writes every folder anew
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

SIZES = {"vocab_size": 19, "n_positions": 9, "n_embd": 8, "n_layer": 3, "n_head": 2}
SEED = 17
WEIGHTS = "model.safetensors"

# Name: keys of the configuration.
FOLDERS = {
    "plain": {},
    "epsilon": {"layer_norm_epsilon": 0.05},
    "inner": {"n_inner": 21},
    "by_layer": {"scale_attn_by_inverse_layer_idx": True},
    "unscaled": {"scale_attn_weights": False},
    "upcast": {"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True},
    "untied": {},
    "embedding_under_the_heads_name": {},
    "sharded": {"activation_function": "relu"},
    "half": {"activation_function": "gelu_pytorch_tanh"},
    "old": {"activation_function": "gelu_fast"},
    "everything": {
        "layer_norm_epsilon": 0.01,
        "n_inner": 13,
        "scale_attn_by_inverse_layer_idx": True,
        "scale_attn_weights": False,
        "activation_function": "gelu",
    },
}
HEAD = "lm_head.weight"


def model(keys, tie):
    """A model with weights so large that attention is far from even and every switch shows."""
    config = GPT2Config(**SIZES, **keys, tie_word_embeddings=tie, bos_token_id=0, eos_token_id=0)
    made = GPT2LMHeadModel(config)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")):
                parameter.normal_(1.0, 0.3)
            elif "wpe" in name or "wte" in name:
                parameter.normal_(0.0, 0.2)
            else:
                parameter.normal_(0.0, 0.5)
    return made.eval()


def change(folder, name):
    """Makes a folder one that another program or an older version has written."""
    config = json.loads((folder / "config.json").read_text())
    if name in ("untied", "everything"):
        # The head is its own, and the configuration denies it.
        config["tie_word_embeddings"] = True
    if name == "old":
        # GPT-2's own files: names without `transformer.`, masks beside the weights, older keys.
        weights = load_file(folder / WEIGHTS)
        old = {key.removeprefix("transformer."): value for key, value in weights.items()}
        n = SIZES["n_positions"]
        for layer in range(SIZES["n_layer"]):
            mask = torch.tril(torch.ones(n, n)).view(1, 1, n, n)
            old[f"h.{layer}.attn.bias"] = mask
            old[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
        save_file(old, folder / WEIGHTS, {"format": "pt"})
        config |= {"n_ctx": n, "architectures": ["GPT2Model"], "_num_labels": 1}
    if name == "embedding_under_the_heads_name":
        weights = load_file(folder / WEIGHTS)
        weights[HEAD] = weights.pop("transformer.wte.weight")
        save_file(weights, folder / WEIGHTS, {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def gradients(loaded, ids):
    loaded.zero_grad()
    loaded(ids, labels=ids).loss.backward()
    return {name: p.grad.detach().clone() for name, p in loaded.named_parameters()}


def expected(folder, name, ids):
    loaded = GPT2LMHeadModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        found = loaded(ids, output_attentions=True)
    tensors = {"ids": ids, "logits": found.logits}
    for layer, weights in enumerate(found.attentions):
        tensors[f"attention/{layer}"] = weights
    if name == "everything":
        for key, value in gradients(loaded, ids).items():
            tensors[f"gradients/{key}"] = value
        for key, value in gradients(loaded.double(), ids).items():
            tensors[f"f64/gradients/{key}"] = value
    tensors = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    save_file(tensors, folder / "expected.safetensors")
    print(f"{name}: logits up to {found.logits.abs().max():.2f}")


def main():
    torch.set_num_threads(1)
    for name, keys in FOLDERS.items():
        torch.manual_seed(SEED)
        folder = Path(__file__).parent / "hf" / name
        shutil.rmtree(folder, ignore_errors=True)
        made = model(keys, tie=name not in ("untied", "everything"))
        if name == "half":
            made = made.half()
        size = "5KB" if name == "sharded" else "1GB"
        made.save_pretrained(folder, max_shard_size=size)
        (folder / "generation_config.json").unlink(missing_ok=True)
        change(folder, name)
        ids = torch.randint(SIZES["vocab_size"], (2, SIZES["n_positions"]))
        expected(folder, name, ids)


if __name__ == "__main__":
    main()
