#!/usr/bin/env bash
# Runs one fuzz target, or all, with libFuzzer, and prints a line a target.
#
#   run.sh TARGET|all COUNT JOBS [SECONDS]
#
# COUNT executions, in JOBS processes at once, for at most SECONDS (of all targets together). A process that ends at a
# finding is started again with what is left of its count; findings lie in found/ in the present folder. Binaries and
# seeds are looked for in $FUZZ_BUILD (a build's tests/fuzz), else beside this script (see carry.sh).
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,9p' "$0"; exit 2; }
target=$1 count=$2 jobs=$3 seconds=${4:-0}
here=$(dirname -- "$(readlink -f -- "$0")")
build=${FUZZ_BUILD:-$here}
bin=$build; [ -d "$build/bin" ] && bin=$build/bin
[ -d "$here/lib" ] && export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export SPECMOE_HOME=${SPECMOE_HOME:-$here}
# Short-lived files belong into memory.
[ -w /dev/shm ] && export TMPDIR=/dev/shm
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:allocator_may_return_null=0:detect_odr_violation=0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p found

# worker TARGET NUMBER COUNT END: executions and peak MB to $work
worker() {
  local name=$1 number=$2 left=$3 end=$4 tries=0 log=$work/$1.$2.log
  while [ "$left" -gt 0 ] && [ "$tries" -lt 200 ]; do
    local limit=()
    if [ "$end" -gt 0 ]; then
      local rest=$((end - $(date +%s)))
      [ "$rest" -gt 0 ] || break
      limit=(-max_total_time=$rest)
    fi
    "$bin/${name}_fuzz" -runs="$left" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
      -dict="$here/yaml.dict" -max_len=16384 -len_control=20 -reload=30 -seed=$((number * 1000 + tries + 1)) \
      -artifact_prefix="found/$name-" "${limit[@]}" "$work/$name.corpus" >"$log" 2>&1 || echo x >>"$work/$name.found"
    local done_now
    done_now=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    sed -n 's/^stat::peak_rss_mb: *//p' "$log" >>"$work/$name.rss"
    echo "${done_now:-0}" >>"$work/$name.runs"
    left=$((left - ${done_now:-0}))
    tries=$((tries + 1))
    if [ "${done_now:-0}" -eq 0 ]; then tail -3 "$log" >&2; fi
  done
}

run_target() {
  local name=$1 end=$2 start=$SECONDS
  mkdir -p "$work/$name.corpus"
  cp -r "$build/seeds/$name/." "$work/$name.corpus"
  : >"$work/$name.found"; : >"$work/$name.rss"; : >"$work/$name.runs"
  for ((i = 0; i < jobs; ++i)); do worker "$name" "$i" $(((count + jobs - 1) / jobs)) "$end" & done
  wait
  local elapsed=$((SECONDS - start))
  awk -v name="$name" -v s="$elapsed" -v found="$(wc -l <"$work/$name.found")" -v rss="$(sort -n "$work/$name.rss" | tail -1)" \
    '{n += $1} END {printf "%-16s %11d executions %5d s %8.0f/s  peak %4d MB  findings %d\n", name, n, s, n / (s ? s : 1), rss, found}' \
    "$work/$name.runs"
}

if [ "$target" != all ]; then
  run_target "$target" $((seconds > 0 ? $(date +%s) + seconds : 0))
  exit
fi
# The fast ones first: what they leave of their share is for the others.
targets=()
for name in yaml model validation study trace profile predictions measurement results platform import_npy import_jsonl \
  import_bigmoe import_gpt_oss import_config import_gguf h5_bytes scenario; do
  [ -x "$bin/${name}_fuzz" ] && targets+=("$name")
done
finish=$((seconds > 0 ? $(date +%s) + seconds : 0))
for ((t = 0; t < ${#targets[@]}; ++t)); do
  end=0
  if [ "$finish" -gt 0 ]; then now=$(date +%s); end=$((now + (finish - now) / (${#targets[@]} - t))); fi
  run_target "${targets[t]}" "$end"
done
