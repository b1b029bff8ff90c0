#!/usr/bin/env bash
# Packs the CUDA tests, the latimer command and the peers' scripts into one folder, for a machine that
# has an NVIDIA driver but no Rust:
#
#     bash benches/gpu/pack.sh [FOLDER]         FOLDER is .gpu-pack unless given
#
# Then copy the folder there and run it: see run.sh, or what this script says at its end. It needs
# Linux on x86-64, python3 and the corpus of plays (`latimer data get shakespeare`). Environment:
#     PACK_TARGET_DIR   where cargo builds (target/gpu-pack, so that the ordinary target stays warm)
#     MOST_MIB          the pack and the repository's files may be this large together (64): some
#                       machines on loan take no more
set -euo pipefail
cd "$(dirname "$0")/../.."
begin=$SECONDS
pack=${1:-.gpu-pack}
fail() { echo "error: $*" >&2 && exit 1; }

[ "$(uname -sm)" = 'Linux x86_64' ] || fail "a pack is for Linux on x86-64, and is made there; this is $(uname -sm)"
command -v python3 >/dev/null || fail 'python3 is needed to read what cargo built: install it'
[ ! -e "$pack" ] || [ -f "$pack/built.txt" ] || fail "$pack exists and is no pack: name another folder"

# The other machine may have no network, and without the corpus its training run would fail there.
cache=${LATIMER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/latimer}
corpus=$cache/shakespeare.txt
[ -f "$corpus" ] || fail "$corpus is not there: run \`latimer data get shakespeare\`, or put the file there"

# Made aside, so that what is there stays whole until the new pack is.
new=$pack.new
rm -rf "$new"
trap 'rm -rf "$new"' EXIT
mkdir -p "$new/tests" "$new/peers"
cp benches/gpu/run.sh benches/gpu/ops.txt "$corpus" "$new/"
cp benches/peers/torch_gpt.py benches/peers/torch_ops.py "$new/peers/"

# Machine code for Hopper, so that the driver compiles nothing in the middle of a measurement.
if ! cargo run --quiet -p xtask -- kernels cubins "$new/cubins" --for sm_90; then
    echo "warning: the pack has no cubins, so the driver will compile the kernels on their first use" >&2
    rm -rf "$new/cubins"
fi

# add PROGRAM NAME: stripped and compressed.
add() {
    strip -s -o "$new/$2" "$1"
    gzip -9 "$new/$2"
}

# The command as it is released.
export CARGO_TARGET_DIR=${PACK_TARGET_DIR:-target/gpu-pack}
export CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_INCREMENTAL=0
cargo build --release -p latimer-cli
add "$CARGO_TARGET_DIR/release/latimer" latimer

# What latimer itself knows of the corpus.
know=$(LATIMER_CACHE=$new "$CARGO_TARGET_DIR/release/latimer" data list --json |
    python3 -c 'import json, sys; print(next(row["sha256"] for row in map(json.loads, sys.stdin) if row["name"] == "shakespeare"))')
[ "$(sha256sum <"$corpus" | cut -d ' ' -f 1)" = "$know" ] ||
    fail "$corpus is damaged: delete it, and run \`latimer data get shakespeare\`"

cargo test --release --no-run --message-format=json-render-diagnostics \
    -p latimer-backend-cuda --test '*' -p latimer-tests --test backends_agree --test production_step >"$new/cargo.json"
python3 - "$new/cargo.json" >"$new/programs.tsv" <<'PYTHON'
import json, os, sys

for line in open(sys.argv[1]):
    artifact = json.loads(line)
    if artifact.get("reason") == "compiler-artifact" and artifact.get("executable") and artifact["profile"]["test"]:
        print(os.path.basename(os.path.dirname(artifact["manifest_path"])), artifact["target"]["name"],
              artifact["executable"], sep="\t")
PYTHON
while IFS=$'\t' read -r package name program; do
    # What needs the sources, and what was asked for because of a `*` that meant another package.
    case $package/$name in
    backend-cuda/ptx_is_fresh) ;;
    backend-cuda/* | tests/backends_agree | tests/production_step) add "$program" "tests/$package--$name" ;;
    esac
done <"$new/programs.tsv"
rm "$new/cargo.json" "$new/programs.tsv"
tests=$(find "$new/tests" -type f | wc -l)

{
    echo "latimer at commit $(git rev-parse --short HEAD), $(git status --porcelain | wc -l) files changed"
    rustc --version
    echo "packed $(date -u +%FT%TZ)"
} >"$new/built.txt"

mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1048576 }'; }
packed=$(du -sb "$new" | cut -f 1)
tracked=$(git ls-files -z --cached --others --exclude-standard | xargs -0 stat -c %s 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }')
[ $((packed + tracked)) -le $((${MOST_MIB:-64} * 1048576)) ] ||
    fail "the pack has $(mib "$packed") MiB and the repository $(mib "$tracked"): more than ${MOST_MIB:-64} together (MOST_MIB)"
rm -rf "$pack"
mv "$new" "$pack"
cat <<END
$pack: latimer, $tests test programs, $(find "$pack" -name '*.cubin' | wc -l) cubins, the corpus, in $((SECONDS - begin)) s
size: $(mib "$packed") MiB, and $(mib "$tracked") MiB of the repository's files, of ${MOST_MIB:-64} MiB together
Copy $pack to the machine with the GPU and run there, one after the other:
    OUT=gpu-out bash $pack/run.sh first        9 minutes: what the machine is, the headline, every test
    OUT=gpu-out bash $pack/run.sh verify       8 minutes: every test at length, sanitizers
    OUT=gpu-out bash $pack/run.sh compare      8 minutes: operation by operation beside PyTorch
then keep the files of gpu-out in benches/record (see benches/record/README.md).
END
