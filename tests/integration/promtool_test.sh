#!/bin/bash
# What other programs make of the server's figures: `promtool check metrics` must be silent, a real Prometheus
# must scrape it, and calls must carry their load report, which gRPC's own C++ client keeps from the application.
#
#   promtool_test.sh SERVER_BINARY MODEL_WRITER
#
# MODEL_WRITER DIR writes the model to serve; with CONTEXTURE_MODEL_DIR set that model is served instead.
# Ends with 77 (skipped) when Debian's package `prometheus` is not installed.
set -euo pipefail

readonly server_binary=$1 model_writer=$2
readonly skipped=77
for program in promtool prometheus curl; do
  if ! command -v "$program" >/dev/null; then
    echo "skipped: $program is not installed (Debian packages prometheus and curl)"
    exit "$skipped"
  fi
done

scratch=$(mktemp -d)
children=()
stop() {
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  wait || true
  rm -rf "$scratch"
}
trap stop EXIT

# A loopback port that nobody listens on.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local -r end=$((SECONDS + $1))
  shift
  until "$@"; do
    if ((SECONDS >= end)); then return 1; fi
    sleep 0.1
  done
}

fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$scratch"/*.log >&2 || true
  exit 1
}

scrape() { curl --silent --show-error --fail --max-time 5 "http://127.0.0.1:$metrics_port/metrics"; }
scrape_works() { scrape >/dev/null 2>&1; }

# The value of a PromQL expression that gives one sample; empty when it gives none.
query() {
  curl --silent --fail --max-time 5 --get --data-urlencode "query=$1" \
    "http://127.0.0.1:$prometheus_port/api/v1/query" |
    sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\].*/\1/p'
}
is_up() { [[ "$(query 'up{job="contexture"}' 2>/dev/null)" == 1 ]]; }

port=$(free_port)
metrics_port=$(free_port)
prometheus_port=$(free_port)
model=${CONTEXTURE_MODEL_DIR:-$scratch/model}
if [[ -z "${CONTEXTURE_MODEL_DIR:-}" ]]; then "$model_writer" "$model"; fi

"$server_binary" "--model=$model" "--listen=127.0.0.1:$port" --load-reports=true "--metrics-listen=127.0.0.1:$metrics_port" \
  >"$scratch/server.log" 2>&1 &
children+=($!)
wait_for 60 scrape_works || fail "no answer from /metrics"

scrape >"$scratch/metrics.txt"
grep -q '^contexture_' "$scratch/metrics.txt" || fail "no contexture_* metric in the scrape"
promtool check metrics <"$scratch/metrics.txt" >"$scratch/promtool.log" 2>&1 ||
  fail "promtool check metrics"
if [[ -s "$scratch/promtool.log" ]]; then fail "promtool check metrics is not silent"; fi
echo "promtool: $(grep -c '^# TYPE' "$scratch/metrics.txt") metric families, silent"

# call METHOD: the headers, the answer and the trailers of a call whose message is read. gRPC's own clients do not show
# this trailer. An answer without message is a refusal.
call() {
  curl --silent --show-error --include --max-time 5 --http2-prior-knowledge \
    --header 'content-type: application/grpc' --header 'te: trailers' --data-binary @- --output "$scratch/answer" \
    --dump-header - "http://127.0.0.1:$port/contexture.v1.EncoderService/$1"
  cat "$scratch/answer"
}
# Reads to the end: whoever writes would fail where nobody reads.
carries_report() { grep --text -i '^endpoint-load-metrics-bin: .' >/dev/null; }
get_model() { printf '\0\0\0\0\0' | call GetModel 2>/dev/null | carries_report; }
wait_for 60 get_model || fail "no load report in the trailers of a call"
# One input, the token id 5; then no input.
printf '\0\0\0\0\7\022\5\022\3\012\1\5' | call EncodeChunked | tee "$scratch/chunks" | carries_report ||
  fail "no load report after an answer in chunks"
grep --text -qi '^grpc-status: 0' "$scratch/chunks" || fail "EncodeChunked failed"
printf '\0\0\0\0\0' | call EncodeChunked | carries_report || fail "no load report after a refusal of chunks"
echo "load report: in the trailers"

cat >"$scratch/prometheus.yml" <<CONFIG
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: contexture
    static_configs:
      - targets: ["127.0.0.1:$metrics_port"]
CONFIG
prometheus "--config.file=$scratch/prometheus.yml" "--storage.tsdb.path=$scratch/data" \
  "--web.listen-address=127.0.0.1:$prometheus_port" >"$scratch/prometheus.log" 2>&1 &
children+=($!)
wait_for 60 is_up || fail "Prometheus does not see the server up"
samples=$(query 'scrape_samples_scraped{job="contexture"}')
[[ "${samples:-0}" -gt 0 ]] || fail "Prometheus scraped no samples"
echo "prometheus: up, $samples samples per scrape"
