"""The machine as an installer works on it: files unpacked, scripts run, and marks of what is finished.

The marks lie on the machine itself, with a hash of what a step was made from: a machine that starts from a committed
image brings its marks along, and a changed template makes them void.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.core.home import Home
from lab.core.ssh import Remote

MARKS = "/var/lib/trove-lab"
SCRIPTS = Path(__file__).with_name("scripts")
UNPACK = f"""
base64 --decode | install -m 0600 /dev/stdin /run/trove-lab.tar
install -d -m 0755 {MARKS}
install -d -m 0700 {MARKS}/before {MARKS}/before/files
touch {MARKS}/files
tar -tf /run/trove-lab.tar | while read -r file; do
    grep -qxF "$file" {MARKS}/files || [ -e "{MARKS}/before/files/$file" ] || {{
        if [ -e {MARKS}/before/paths ] && grep -qxF "$file" {MARKS}/before/paths; then
            (cd / && cp --archive --parents "$file" {MARKS}/before/files)
        else
            echo "$file" >> {MARKS}/files
            while file=${{file%/*}} && [ ! -d "/$file" ]; do
                grep -qxF "$file" {MARKS}/folders 2> /dev/null || echo "$file" >> {MARKS}/folders
            done
        fi
    }}
done
tar -xpf /run/trove-lab.tar -C /
rm /run/trove-lab.tar
systemctl daemon-reload
"""
"""Standard input is the tar in base64: only text travels there, and an ordinary user may write nothing in /run."""


@dataclass(frozen=True)
class Target:
    """``remote`` is asked only when a step runs: the machine must be up first. ``seconds`` bounds one script."""

    home: Home
    remote: Callable[[], Remote]
    seconds: float

    def unpack(self, archive: bytes) -> None:
        """Unpack a tar of ``render.archive`` at the machine's root; what was there is written down, and kept."""
        self.remote().run("bash", "-euo", "pipefail", "-c", UNPACK, stdin=base64.b64encode(archive).decode())

    def script(self, name: str, *arguments: str, stdin: str = "") -> None:
        """Run a script of ours on the machine; ``stdin`` (a secret, say) is what it can read.

        One whose client was killed goes on there; the same script then waits for its end.
        """
        text = (SCRIPTS / name).read_text()
        target = f"/run/trove-lab-{name}"
        self.remote().run("install", "-m", "0700", "/dev/stdin", target, stdin=text)
        self.remote().run(
            "flock",
            f"{target}.lock",
            "bash",  # /run may be mounted noexec
            target,
            *arguments,
            stdin=stdin,
            timeout=self.seconds,
            timeout_setting="--install-timeout",
            log=self.home.log(name.removesuffix(".sh")),
        )

    def offer_settings(self, user: str, manage: Sequence[str], templates: str, datastore: str, version: str) -> None:
        """Load Trove's own list of the settings that users may change; without it there are no configurations.

        ``manage`` is how ``user`` calls trove-manage, ``templates`` the folder of Trove's rules.
        """
        rules = f"{templates}/{datastore}/validation-rules.json"
        self.remote().run(
            "env", "--chdir=/", "runuser", "-u", user, "--", *manage,
            "db_load_datastore_config_parameters", datastore, version, rules,
            timeout=self.seconds, timeout_setting="--install-timeout", log=self.home.log("datastores"),
        )  # fmt: skip

    def record(self, name: str, words: Sequence[str]) -> None:
        """Add to what is taken away again from a machine that was there before the lab: its list ``name``."""
        text = "".join(f"{word}\n" for word in words)
        self.remote().run("bash", "-c", 'touch "$0" && sort -u -o "$0" "$0" -', f"{MARKS}/{name}", stdin=text)

    def marked(self, mark: str, key: str) -> bool:
        """Whether the mark is there with that key."""
        return self.remote().run("cat", f"{MARKS}/{mark}", check=False).stdout.strip() == key

    def mark(self, mark: str, key: str) -> None:
        """Leave a mark."""
        self.remote().run("install", "-D", "-m", "0644", "/dev/stdin", f"{MARKS}/{mark}", stdin=f"{key}\n")
