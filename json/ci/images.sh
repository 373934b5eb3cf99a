#!/usr/bin/env bash
# Written by tidegate render. Change the document, not this file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Every image that a manifest of this tree names.
grep -rhoE '^ *(- )?image: [^ ]+' components workloads | sed -E 's/.*image: //; s/"//g' | grep : | sort -u
