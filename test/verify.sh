#!/usr/bin/env bash
# What takes too long for CI: every exchange as a place to die, the machine on a second interpreter, the long soak, all
# sizes of the bench, more random cases.
set -euo pipefail
cd "$(dirname "$0")/.."

FAULTS_ALL=1 npm run --silent test:faults
npm run --silent test:interpreter
ORACLE_CASES=20000 npm run --silent test:oracle
npm run --silent soak -- --long --write
npm run --silent scale -- --write
npm run --silent bench -- --large --write
