#!/bin/bash
# What stack.sh fetched here, in one tar. wheels/: just the Python packages that its virtual environments have, and what
# building DevStack's own sources takes. debs/: what apt got on top of the image. Argument: the tar. Safe to run again.
set -euo pipefail
work=$(mktemp -d /var/tmp/trove-lab-packages.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir "$work/wheels" "$work/debs"
find /var/cache/apt/archives -name '*.deb' -exec cp -t "$work/debs" {} +
take() { /opt/stack/data/venv/bin/pip wheel --disable-pip-version-check --wheel-dir="$work/wheels" "$@"; }

# one by one: what is twice there may be there in two versions
find /opt/stack -name pyvenv.cfg -printf '%h\n' > "$work/venvs"
while read -r venv; do
    "$venv/bin/python" -m pip freeze --local --all --exclude-editable > "$work/frozen"
    # the rest was built from a folder
    grep -E '^[A-Za-z0-9._-]+==' "$work/frozen" > "$work/wanted"
    take --no-deps --requirement="$work/wanted"
done < "$work/venvs"

# pip builds what it installs from a folder in an environment of its own; nothing pins what it takes there
python3 - /opt/stack/* > "$work/build" <<'END'
import pathlib, sys, tomllib
print("setuptools", "wheel", sep="\n")  # where a project names nothing
for file in (pathlib.Path(folder, "pyproject.toml") for folder in sys.argv[1:]):
    if file.exists():
        print(*tomllib.loads(file.read_text()).get("build-system", {}).get("requires", []), sep="\n")
END
take --requirement="$work/build"
tar -cf "$1" -C "$work" wheels debs
