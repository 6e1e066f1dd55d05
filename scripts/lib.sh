# Shared by the scripts; sourced, not run.
# shellcheck shell=bash

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '%s\n' "$*"
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Jobs for ninja: the cores this process may use.
jobs_count() {
    nproc 2>/dev/null || echo 1
}
