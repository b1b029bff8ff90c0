#!/usr/bin/env bash
# Runs a pack made by pack.sh on a machine with an NVIDIA GPU: tests, sanitizers, training, benches
# beside PyTorch. Needs bash, the driver, and, for the peers, python3 with torch.
#
#     bash run.sh [PART…]       parts: facts conformance sanitize train bench peers; all by default
#
# Results go to $OUT (./gpu-out by default): facts.txt, tests.log, sanitize.log, train.jsonl,
# bench.jsonl, peers.jsonl, summary.txt. Nothing is started after $BUDGET seconds (540 by default).
set -uo pipefail
pack=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$PWD/gpu-out}
budget=${BUDGET:-540}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
parts=("$@")
[ $# -gt 0 ] || parts=(facts conformance sanitize train bench peers)
wants() { printf '%s\n' "${parts[@]}" | grep -qx "$1"; }
left() { echo $((budget - SECONDS)); }
failed=0

say() { echo "$*" | tee -a "$out/summary.txt"; }

# try NAME SECONDS LOG COMMAND…: runs a command within a time and what is left of the budget.
try() {
    local name=$1 limit=$2 log=$3 begin=$SECONDS code
    shift 3
    if [ "$(left)" -le 5 ]; then
        say "not run: $name (the budget of $budget s is spent)"
        failed=1
        return 1
    fi
    [ "$limit" -le "$(left)" ] || limit=$(left)
    { echo "== $name: $*" >>"$out/commands.log"; timeout "$limit" "$@" >>"$log" 2>>"$out/commands.log"; }
    code=$?
    [ $code = 0 ] || failed=1
    say "$([ $code = 0 ] && echo ok || echo "FAILED ($code)"): $name, $((SECONDS - begin)) s"
    return $code
}

unpack() { [ -x "$work/$(basename "$1")" ] || { gzip -dc "$1.gz" >"$work/$(basename "$1")" && chmod +x "$work/$(basename "$1")"; }; }

: >"$out/summary.txt"
unpack "$pack/latimer"
latimer=$work/latimer

# Libraries of the driver, of a toolkit, of Python packages: wherever they are.
for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib /usr/local/cuda/lib64 \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2>/dev/null)"/nvidia/*/lib; do
    [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export LD_LIBRARY_PATH GPU_REQUIRED=1 LATIMER_CACHE=$work/cache CUDA_CACHE_PATH=$work/jit
mkdir -p "$LATIMER_CACHE"
[ ! -f "$pack/shakespeare.txt" ] || cp "$pack/shakespeare.txt" "$LATIMER_CACHE/"

if wants facts; then
    {
        cat "$pack/built.txt"
        uname -r
        grep -m1 'model name' /proc/cpuinfo
        nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit,compute_cap --format=csv,noheader
        "$latimer" devices
        python3 -c 'import torch; print("torch", torch.__version__, torch.cuda.is_available())'
    } >"$out/facts.txt" 2>&1
    cat "$out/facts.txt"
    "$latimer" devices --json | grep '"backend":"cuda"' | grep -q cpu-shim && {
        say "this is the CPU shim, not a GPU: nothing here is a measurement"
        exit 1
    }
fi

if wants conformance; then
    while IFS=$'\t' read -r name folder; do
        unpack "$pack/tests/$name"
        mkdir -p "$work/$folder" && cd "$work/$folder" || exit 1
        # A fault of a kernel poisons its process: what fails is run again, each test alone.
        if ! try "$name" 300 "$out/tests.log" "$work/$name"; then
            "$work/$name" --list --format terse 2>/dev/null | sed -n 's/: test$//p' | while read -r test; do
                [ "$(left)" -gt 5 ] || break
                timeout 60 "$work/$name" --exact "$test" >"$work/alone.log" 2>&1 && continue
                say "  fails alone: $name $test"
                tail -c 3000 "$work/alone.log" >>"$out/tests.log"
            done
        fi
    done <"$pack/tests.tsv"
fi

if wants sanitize; then
    if command -v compute-sanitizer >/dev/null; then
        unpack "$pack/tests/backend-cuda--conformance"
        for tool in memcheck racecheck; do
            LATIMER_CASES=4 try "$tool" 240 "$out/sanitize.log" compute-sanitizer --tool "$tool" --error-exitcode 86 \
                "$work/backend-cuda--conformance" --test-threads 1 agrees_with_its_meaning
        done
    else
        say "not run: sanitizers (there is no compute-sanitizer)"
    fi
fi

if wants train; then
    for preset in baby char10m; do
        for dtype in f32 bf16; do
            try "train $preset $dtype" 400 "$out/train.jsonl" "$latimer" train --preset "$preset" --backend cuda \
                --dtype "$dtype" --json --quiet --out "$work/runs/$preset-$dtype"
        done
    done
fi

if wants bench; then
    for preset in seed baby char10m; do
        for dtype in f32 bf16; do
            try "bench $preset $dtype" 60 "$out/bench.jsonl" "$latimer" bench train --preset "$preset" --backend cuda \
                --dtype "$dtype" --steps 100 --warmup 10 --json
        done
    done
    for batch in 8 16 32; do
        try "bench gpt2-124m bf16, B $batch" 90 "$out/bench.jsonl" "$latimer" bench train --preset gpt2-124m --backend cuda \
            --dtype bf16 --batch-size "$batch" --seq-len 1024 --steps 20 --warmup 5 --json
    done
fi

if wants peers; then
    for preset in seed baby char10m; do
        for mode in eager compile graph; do
            for dtype in f32 bf16; do
                try "torch $preset $mode $dtype" 120 "$out/peers.jsonl" python3 "$pack/peers/torch_gpt.py" "$preset" \
                    --device cuda --mode "$mode" --dtype "$dtype" --steps 100 --warmup 10
            done
        done
    done
    for batch in 8 16 32; do
        try "torch gpt2-124m compile bf16, B $batch" 150 "$out/peers.jsonl" python3 "$pack/peers/torch_gpt.py" gpt2-124m \
            --device cuda --mode compile --dtype bf16 --batch-size "$batch" --seq-len 1024 --steps 20 --warmup 5
    done
    try "torch operations" 200 "$out/peers.jsonl" python3 "$pack/peers/torch_ops.py"
fi

say "$([ $failed = 0 ] && echo 'all parts ran' || echo 'some parts failed or did not run'), $SECONDS s; results in $out"
exit $failed
