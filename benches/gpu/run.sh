#!/usr/bin/env bash
# Runs a pack made by pack.sh on a machine with an NVIDIA GPU, the most telling facts first.
#
#     bash run.sh first       what the machine is; GPT-2 124M beside PyTorch; every test, briefly
#     bash run.sh verify      every test at length; a step of production size; NVIDIA's sanitizers
#     bash run.sh compare     the step's operations beside PyTorch's, one by one; a training run
#
# Needs bash and the driver; python3 with torch for the comparisons. Ends with status 0 if all went
# well, 1 if something failed or was left out, 2 if it was called wrongly. Environment:
#     OUT      where results go: 8 files, flat (./gpu-out)
#     BUDGET   seconds that one call may take (540 for first, 480 for the others)
#     WORK     what is kept between calls: unpacked programs, compiled kernels (/var/tmp/latimer-gpu)
#     MOST     no single command may take longer than this many seconds (600); to try this script
set -uo pipefail
part=${1:-first}
case $part in
first) budget=${BUDGET:-540} ;;
verify | compare) budget=${BUDGET:-480} ;;
*) echo "error: there is no part $part: run.sh takes first, verify or compare" >&2 && exit 2 ;;
esac
pack=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$PWD/gpu-out}
work=${WORK:-/var/tmp/latimer-gpu}
most=${MOST:-600}
mkdir -p "$out" "$work/cache" || exit 1
prefix=$out/$part
for file in summary.txt facts.txt tests.tsv tests.log bench.jsonl peers.jsonl tools.log commands.log; do
    : >"$prefix-$file" || exit 1
done
failed=0

# Caches that are kept: the driver's for kernels, PyTorch's for what it compiles.
export CUDA_CACHE_PATH=$work/jit CUDA_CACHE_MAXSIZE=4294967296 TORCHINDUCTOR_CACHE_DIR=$work/inductor
export LATIMER_CACHE=$work/cache GPU_REQUIRED=1 PYTHONUNBUFFERED=1 RUST_BACKTRACE=0

# ---- reporting and running

left() { echo $((budget - SECONDS)); }
say() { printf '%4d s  %s\n' "$SECONDS" "$*" | tee -a "$prefix-summary.txt"; }

# allowed SECONDS: no more than what is left of the budget; fails if nothing worth starting is left.
allowed() {
    local limit=$1 rest
    rest=$(($(left) - 8))
    [ "$rest" -ge 2 ] || return 1
    [ "$limit" -le "$rest" ] || limit=$rest
    [ "$limit" -le "$most" ] || limit=$most
    echo "$limit"
}

# outcome STATUS SECONDS: in words. A program that hangs ends with 124, or 137 if it had to be killed.
outcome() {
    case $1 in
    0) echo ok ;;
    124 | 137) echo "HUNG (stopped after $2 s)" ;;
    134 | 139) echo "CRASHED (status $1)" ;;
    *) echo "FAILED (status $1)" ;;
    esac
}

# figures FILE: what the last line of JSON measured.
figures() {
    tail -n 1 "$1" | awk '
        function value(key,    at) {
            at = match($0, "\"" key "\": *[-0-9.e+]+")
            return at ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : -1
        }
        {
            text = ""
            if (value("median") >= 0) text = text sprintf(", step %.2f ms", value("median"))
            if (value("median_us") >= 0) text = text sprintf(", %.1f us", value("median_us"))
            if (value("tokens_per_s") >= 0) text = text sprintf(", %.0f tokens/s", value("tokens_per_s"))
            if (value("gflops") > 0) text = text sprintf(", %.1f TFLOP/s", value("gflops") / 1e3)
            if (value("gb_s") > 0) text = text sprintf(", %.0f GB/s", value("gb_s"))
            if (value("own_products") > 0) text = text sprintf(", %d products by own kernels", value("own_products"))
            print text
        }'
}

# try NAME SECONDS FILE COMMAND…: runs a command and says how it went: its figures, or its last words.
try() {
    local name=$1 limit=$2 file=$prefix-$3 begin=$SECONDS code words=
    shift 3
    if ! limit=$(allowed "$limit"); then
        say "NOT RUN: $name (the $budget s are spent)"
        failed=1
        return 99
    fi
    echo "== $name: $*" >>"$prefix-commands.log"
    timeout -k 5 "$limit" "$@" >"$work/stdout" 2>"$work/stderr"
    code=$?
    cat "$work/stderr" >>"$prefix-commands.log"
    case $file in
    *.jsonl) sed "s|^{|{\"run\":\"$name\",|" "$work/stdout" >>"$file" ;;
    *) cat "$work/stdout" >>"$file" ;;
    esac
    if [ $code = 0 ]; then
        case $file in *.jsonl) words=$(figures "$work/stdout") ;; esac
    else
        failed=1
        words=$(cat "$work/stdout" "$work/stderr" | grep -aE '^(error|Error|.*Error:|thread .* panicked)' | tail -n 1)
        [ -n "$words" ] || words=$(tail -q -n 1 "$work/stdout" "$work/stderr" | tail -n 1)
        words=": ${words:0:300}"
        [ "$words" != ": " ] || words=
    fi
    say "$(outcome $code $((SECONDS - begin)))  $name, $((SECONDS - begin)) s$words"
    return $code
}

# ---- what is there

# Unpacks the programs, unless those of this very pack lie there already.
unpack() {
    cmp -s "$pack/built.txt" "$work/built.txt" && return
    rm -rf "$work/bin" "$work/built.txt"
    mkdir -p "$work/bin"
    local packed program
    for packed in "$pack"/latimer.gz "$pack"/tests/*.gz; do
        program=$work/bin/$(basename "$packed" .gz)
        gzip -dc "$packed" >"$program" && chmod +x "$program" || return 1
    done
    cp "$pack/shakespeare.txt" "$work/cache/" && cp "$pack/built.txt" "$work/built.txt"
}

# Python keeps its own library path: what is found here is for our programs alone.
find_libraries() {
    libraries=${LD_LIBRARY_PATH:-}
    local folder site
    for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
        [ ! -d $folder ] || libraries=${libraries:+$libraries:}$folder
    done
    # Products are compared like with like: by the cuBLASLt that PyTorch itself uses.
    site=$(timeout -k 5 20 python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2>/dev/null)
    if [ -z "${LATIMER_CUBLASLT:-}" ]; then
        for file in "$site"/nvidia/cu13/lib/libcublasLt.so.13 "$site"/nvidia/cublas/lib/libcublasLt.so.1[23] \
            /usr/local/cuda/lib64/libcublasLt.so.1[23]; do
            [ -f "$file" ] && export LATIMER_CUBLASLT=$file && break
        done
    fi
    case ${LATIMER_CUBLASLT:-off} in */*) libraries=${libraries:+$libraries:}$(dirname "$LATIMER_CUBLASLT") ;; esac
    ours=(env "LD_LIBRARY_PATH=$libraries")
    latimer=("${ours[@]}" "$work/bin/latimer")
}

facts() {
    cat "$pack/built.txt"
    date -u +%FT%TZ
    uname -r
    ldd --version 2>&1 | head -n 1
    grep -m 1 'model name' /proc/cpuinfo
    echo "cores: $(nproc)"
    timeout -k 5 20 nvidia-smi --format=csv,noheader --query-gpu=name,driver_version,memory.total,memory.used,clocks.max.sm,clocks.sm,power.limit,temperature.gpu,compute_cap
    echo "cuBLASLt: ${LATIMER_CUBLASLT:-none was found}"
    time timeout -k 5 60 "${latimer[@]}" devices --json
    timeout -k 5 60 python3 -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda, "cuDNN", torch.backends.cudnn.version(), "sees a GPU:", torch.cuda.is_available())'
}

# Where the driver should be, for a machine on which none opens.
missing() {
    ldconfig -p | grep -E 'libcuda\.so|ptxjitcompiler|cublasLt|libcudnn\.so'
    ls -l /usr/local/nvidia/lib64 2>/dev/null | grep -E 'libcuda|ptxjit'
    ls -l /dev/nvidia* /proc/driver/nvidia/version 2>&1
    for tool in nvidia-smi ncu compute-sanitizer nvcc cuda-gdb; do command -v $tool; done
    readelf -d "${LATIMER_CUBLASLT:-/dev/null}" 2>/dev/null | grep NEEDED
}

# field NAME: of the CUDA device's line of JSON.
field() { grep '"backend":"cuda"' "$prefix-facts.txt" | sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^,\"]*\\).*/\\1/p"; }

look() {
    unpack || { say "error: the pack does not unpack into $work" && exit 1; }
    find_libraries
    facts >"$prefix-facts.txt" 2>&1
    cat "$prefix-facts.txt"
    if [ "$(field available)" != true ]; then
        missing >>"$prefix-facts.txt" 2>&1
        cat "$prefix-facts.txt"
        say "no CUDA device opens, so nothing else is run: $(field reason)"
        exit 1
    fi
    gpu=$(field name)
    say "$gpu, $(sed -n 1p "$pack/built.txt")"
    cubins=
    if [ "$gpu" = cpu-shim ]; then
        say 'this is the CPU shim, not a GPU: tests count, benches will refuse, nothing is a measurement'
    elif grep -q 'compute capability 9\.0' "$prefix-facts.txt" && [ -d "$pack/cubins" ]; then
        cubins=$pack/cubins
    fi
    # What fits: GPT-2 124M in bf16 with 32 rows of 1024 takes 12 GiB.
    batch=32
    [ "$(field memory_bytes | grep . || echo 0)" -ge 17000000000 ] || batch=8
    if timeout -k 5 60 python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        torch=1
    else
        torch=
        say 'PyTorch sees no GPU here (see facts): nothing is compared with it'
    fi
}

# ---- tests: a process each, so that a fault or a hang costs one test and captures meet no other thread

list_tests() {
    local program ignored
    for program in "$work"/bin/*--*; do
        case $program in *--production_step) continue ;; esac
        # What is ignored is a helper of another test.
        ignored=$("${ours[@]}" "$program" --list --ignored --format terse 2>/dev/null)
        "${ours[@]}" "$program" --list --format terse 2>/dev/null | grep -vxF -e "$ignored" -e '' |
            sed -n "s|\\(.*\\): test\$|$program \\1|p"
    done
}

# one_test PROGRAM TEST SECONDS DEADLINE: a row of tests.tsv; what failed is run again, launch by launch.
one_test() {
    local begin code log limit=$3 rest
    rest=$(($4 - $(date +%s)))
    [ "$limit" -le "$rest" ] || limit=$rest
    if [ "$limit" -lt 2 ]; then
        printf 'not run\t%s\t%s\t\n' "$(basename "$1")" "$2" >>"$prefix-tests.tsv"
        return
    fi
    begin=$(date +%s%N)
    log=$(mktemp -p "$work")
    timeout -k 5 "$limit" "$1" --exact "$2" --test-threads 1 >"$log" 2>&1
    code=$?
    printf '%s\t%s\t%s\t%d ms\n' "$(outcome $code "$limit")" "$(basename "$1")" "$2" \
        $((($(date +%s%N) - begin) / 1000000)) >>"$prefix-tests.tsv"
    if [ $code != 0 ]; then
        echo "=== $(basename "$1") $2 (status $code)" >>"$log.again"
        tail -c 3000 "$log" >>"$log.again"
        if [ $code != 124 ] && [ $code != 137 ]; then
            echo "--- the same with CUDA_LAUNCH_BLOCKING=1, which names the kernel that fails" >>"$log.again"
            CUDA_LAUNCH_BLOCKING=1 timeout -k 5 "$limit" "$1" --exact "$2" --test-threads 1 2>&1 |
                tail -c 3000 >>"$log.again"
        fi
        cat "$log.again" >>"$prefix-tests.log"
    fi
    rm -f "$log" "$log.again"
}

# tests CASES SECONDS ALL: all of them; each may take SECONDS, together ALL.
tests() {
    local seconds=$2 limit jobs
    if ! limit=$(most=$budget allowed "$3"); then
        say 'NOT RUN: the tests'
        failed=1
        return
    fi
    [ "$seconds" -le "$most" ] || seconds=$most
    jobs=$(nproc)
    [ "$jobs" -le 12 ] || jobs=12
    list_tests >"$work/list"
    export -f one_test outcome
    export prefix work
    LATIMER_CASES=$1 LATIMER_CUBINS=$cubins "${ours[@]}" xargs -a "$work/list" -P "$jobs" -L 1 bash -c \
        'one_test "$1" "$2" "'"$seconds"'" "'$(($(date +%s) + limit))'"' _
    local total good
    total=$(wc -l <"$work/list")
    good=$(grep -c '^ok' "$prefix-tests.tsv")
    say "tests: $good of $total passed ($1 cases where cases are drawn)"
    [ "$total" -gt 0 ] && [ "$good" = "$total" ] && return
    failed=1
    grep -v '^ok' "$prefix-tests.tsv" | head -n 40 | sed 's/^/        /' | tee -a "$prefix-summary.txt"
}

# ---- parts


# The figure everyone asks for: with the whole step as one graph; else launched plainly; else without
# cuBLASLt.
headline() {
    local step=("${latimer[@]}" bench train --preset gpt2-124m --backend cuda --dtype bf16
        --vocab-size 50304 --batch-size $batch --seq-len 1024 --json)
    export LATIMER_CUBINS=$cubins
    try "124M, $batch rows" 100 bench.jsonl "${step[@]}" --steps 30 --warmup 6 ||
        try '124M, plain launches' 100 bench.jsonl "${step[@]}" --steps 20 --warmup 4 --plain-launches ||
        try '124M, own products' 120 bench.jsonl env LATIMER_CUBLASLT=off "${step[@]}" --steps 10 --warmup 4 --plain-launches
    try '124M, operation by operation' 90 bench.jsonl "${step[@]}" --steps 20 --warmup 4 --profile
    [ -z "$torch" ] || try '124M, torch.compile' 150 peers.jsonl python3 "$pack/peers/torch_gpt.py" gpt2-124m \
        --device cuda --mode compile --dtype bf16 --batch-size $batch --seq-len 1024 --steps 30 --warmup 6
}

first() {
    local conformance=$work/bin/backend-cuda--conformance test preset op shape
    # Without cubins, so that the driver compiles the kernels as it does for every user.
    for test in fill matmul layer_norm attention; do
        try "smoke test $test" 60 tests.log "${ours[@]}" env LATIMER_CASES=4 "$conformance" --exact $test::agrees_with_its_meaning
    done
    try 'smoke test tensor cores' 60 tests.log "${ours[@]}" "$work/bin/backend-cuda--attention_bf16" --test-threads 1
    headline
    tests 8 40 200
    for preset in seed baby char10m; do
        try "$preset" 40 bench.jsonl "${latimer[@]}" bench train --preset $preset --backend cuda --dtype bf16 \
            --steps 200 --warmup 10 --json
    done
    for shape in 16,1024,32,64 4,4096,32,64 1,16384,32,64 16,1024,16,128 4,4096,16,128 1,16384,16,128; do
        for op in attention attention_backward; do
            try "$op $shape" 25 bench.jsonl "${latimer[@]}" bench op $op --shape $shape --dtype bf16 --backend cuda --json
        done
    done
}

sanitize() {
    local tool
    if ! command -v compute-sanitizer >/dev/null; then
        say 'NOT RUN: sanitizers (there is no compute-sanitizer)'
        failed=1
        return
    fi
    for tool in memcheck synccheck racecheck initcheck; do
        try "$tool, tensor-core attention" 90 tools.log "${ours[@]}" compute-sanitizer --tool $tool --error-exitcode 86 \
            "$work/bin/backend-cuda--attention_bf16" --test-threads 1 --exact forward_across_tiles backward_across_tiles
        try "$tool, products" 60 tools.log "${ours[@]}" compute-sanitizer --tool $tool --error-exitcode 86 \
            "$work/bin/backend-cuda--matmul" --test-threads 1 long_sums few_rows sides_around
    done
}

verify() {
    export LATIMER_CUBINS=$cubins
    try 'a step of production size' 150 tests.log "${ours[@]}" "$work/bin/tests--production_step" --test-threads 1
    # The driver's own compiler makes the kernels here.
    cubins=
    export LATIMER_CUBINS=
    tests 64 120 240
    sanitize
}

compare() {
    local op shape dtype mode preset
    export LATIMER_CUBINS=$cubins
    while read -r op shape dtype; do
        try "$op $shape $dtype" 25 bench.jsonl "${latimer[@]}" bench op "$op" --shape "$shape" --dtype "$dtype" --backend cuda --json
    done <"$pack/ops.txt"
    if [ -n "$torch" ]; then
        try 'PyTorch, the same operations' 120 peers.jsonl python3 "$pack/peers/torch_ops.py" "$pack/ops.txt"
        beside | tee -a "$prefix-summary.txt"
    fi
    if command -v ncu >/dev/null; then
        # Two steps of about 610 launches warm up; one is looked at. The clocks are left alone.
        try 'ncu, one step' 150 tools.log "${ours[@]}" ncu --clock-control none --csv \
            --metrics gpu__time_duration.sum,dram__bytes.sum,sm__inst_executed_pipe_tensor.sum \
            --launch-skip 1200 --launch-count 620 "$work/bin/latimer" bench train --preset gpt2-124m --backend cuda \
            --dtype bf16 --vocab-size 50304 --batch-size $batch --seq-len 1024 --steps 2 --warmup 2 --plain-launches --json
    fi
    try 'char10m, trained to the end' 120 bench.jsonl "${latimer[@]}" train --preset char10m --backend cuda --dtype bf16 \
        --json --quiet --out "$work/runs/char10m" --overwrite
    [ -n "$torch" ] || return
    for preset in seed char10m; do
        for mode in compile graph; do
            try "$preset, torch $mode" 70 peers.jsonl python3 "$pack/peers/torch_gpt.py" $preset --device cuda \
                --mode $mode --dtype bf16 --steps 200 --warmup 20
        done
    done
}

# Operations that both have timed: microseconds of each, and how many times PyTorch's ours takes.
beside() {
    awk '
        function text(key) { return match($0, "\"" key "\": *\"[^\"]*\"") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) : "" }
        function value(key) { return match($0, "\"" key "\": *[0-9.e+-]+") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : 0 }
        { run = text("run"); gsub(/[" ]*"|^ /, "", run) }
        FNR == NR { ours[run] = value("median_us"); order[n++] = run; next }
        { name = text("line"); gsub(/[" ]*"|^ /, "", name); if (value("median_us") > 0 && (!(name in theirs) || value("median_us") < theirs[name])) theirs[name] = value("median_us") }
        END {
            printf "        %-44s %12s %12s %8s\n", "operation", "latimer us", "torch us", "ratio"
            for (i = 0; i < n; i++) if (ours[order[i]] > 0 && theirs[order[i]] > 0)
                printf "        %-44s %12.1f %12.1f %8.2f\n", order[i], ours[order[i]], theirs[order[i]], ours[order[i]] / theirs[order[i]]
        }' "$prefix-bench.jsonl" "$prefix-peers.jsonl"
}

look
$part
for file in "$prefix"-*; do
    # What is sent home has room for 16 MB a file.
    if [ "$(wc -c <"$file")" -gt 15000000 ]; then
        tail -c 15000000 "$file" >"$work/cut" && mv "$work/cut" "$file"
    fi
done
say "$part: $([ $failed = 0 ] && echo 'all went well' || echo 'something failed or was left out, see above'), $SECONDS s; results in $out"
exit $failed
