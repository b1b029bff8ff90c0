#!/usr/bin/env bash
# Packs the CUDA tests, the latimer command and the peers' scripts into one folder, for a machine that
# has an NVIDIA driver but no Rust: `bash benches/gpu/pack.sh [FOLDER]` here, then there
#
#     bash FOLDER/run.sh
#
# FOLDER is .gpu-pack by default (kept out of git). Tests are built with optimisation, stripped, and
# compressed: some 10 MiB.
set -euo pipefail
cd "$(dirname "$0")/../.."
pack=${1:-.gpu-pack}
rm -rf "$pack"
mkdir -p "$pack/tests" "$pack/peers"

# A target folder of its own, so that the ordinary one stays warm.
export CARGO_TARGET_DIR=${PACK_TARGET_DIR:-target/gpu-pack} CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_INCREMENTAL=0

# Each test program goes in under the name package--test, with the folder that it expects to run in.
: >"$pack/tests.tsv"
cargo test --release --no-run --message-format=json-render-diagnostics \
    -p latimer-backend-cuda -p latimer-tests --test '*' |
    python3 -c '
import json, os, sys
for line in sys.stdin:
    artifact = json.loads(line)
    if artifact.get("reason") == "compiler-artifact" and artifact.get("executable") and artifact["profile"]["test"]:
        folder = os.path.dirname(artifact["manifest_path"])
        print(os.path.basename(folder), artifact["target"]["name"], artifact["executable"], folder, sep="\t")
' |
    while IFS=$'\t' read -r package name executable folder; do
        # Of the workspace-wide tests those that use a CUDA device.
        case $package/$name in tests/backends_agree | backend-cuda/*) ;; *) continue ;; esac
        strip -s -o "$pack/tests/$package--$name" "$executable"
        gzip -9 "$pack/tests/$package--$name"
        printf '%s\t%s\n' "$package--$name" "$(realpath --relative-to=. "$folder")" >>"$pack/tests.tsv"
    done

# The backend's own tests first: the others take longer.
sort -o "$pack/tests.tsv" "$pack/tests.tsv"

cargo build --release -p latimer
strip -s -o "$pack/latimer" "$CARGO_TARGET_DIR/release/latimer"
gzip -9 "$pack/latimer"
cp benches/gpu/run.sh "$pack/"
cp benches/peers/torch_gpt.py benches/peers/torch_ops.py "$pack/peers/"
# The corpus, if it was ever fetched: the machine may have no network.
corpus=${LATIMER_CACHE:-$HOME/.cache/latimer}/shakespeare.txt
[ ! -f "$corpus" ] || cp "$corpus" "$pack/"
{
    echo "commit $(git rev-parse --short HEAD), $(git status --porcelain | wc -l) files changed"
    rustc --version
    date -u +%FT%TZ
} >"$pack/built.txt"
exclude=$(git rev-parse --git-path info/exclude)
mkdir -p "$(dirname "$exclude")"
grep -qxF "/$pack/" "$exclude" 2>/dev/null || echo "/$pack/" >>"$exclude"
echo "$pack: $(wc -l <"$pack/tests.tsv") test programs, $(du -sm "$pack" | cut -f1) MiB; there: bash $pack/run.sh"
