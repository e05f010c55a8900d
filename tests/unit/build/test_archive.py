"""A root filesystem as an archive that Docker loads."""

import hashlib
import json
import tarfile
from pathlib import Path

from lab.build import archive
from lab.core.job import Job


def test_it_is_what_docker_load_reads(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("sbin/init", "boot/vmlinuz", "usr/lib/modules/6.12/a.ko", "etc/hostname"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    target = tmp_path / "image.tar"
    archive.write(tree, target, volumes=["/var/lib/docker"], job=Job(print, tmp_path / "log", 60))
    with tarfile.open(target) as image:
        (entry,) = json.load(image.extractfile("manifest.json") or exit())
        config = json.load(image.extractfile(entry["Config"]) or exit())
        layer = (image.extractfile(entry["Layers"][0]) or exit()).read()
    assert config["config"] == {"Cmd": ["/sbin/init"], "Volumes": {"/var/lib/docker": {}}}
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    (tmp_path / "layer.tar").write_bytes(layer)
    with tarfile.open(tmp_path / "layer.tar") as root:
        files = {member.name for member in root if member.isfile()}
    assert files == {"./sbin/init", "./etc/hostname"}
    assert sorted(p.name for p in tmp_path.iterdir() if "image" in p.name) == ["image.tar"]


def test_the_same_tree_gives_the_same_image(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    for name in ("one.tar", "two.tar"):
        archive.write(tmp_path / "tree", tmp_path / name, volumes=[], job=Job(print, tmp_path / "log", 60))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
