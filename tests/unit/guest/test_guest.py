"""Guest images: cache records, boot sectors, RAM disks, config drives, datastores."""

from __future__ import annotations

import io
import json
import re
import struct
import tarfile
from pathlib import Path

import pycdlib
import pytest

from lab.build import disk, initrd
from lab.build.content_key import content
from lab.core.errors import BadFile, CheckFailed, CommandFailed
from lab.core.job import Job
from lab.guest import backup, configdrive, datastores
from lab.guest.images import Image
from lab.guest.trove import Recipe


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made: list[int] = []

    def make(target: Path, job: Job) -> None:
        made.append(1)
        target.write_text(f"image number {len(made)}")

    def boot(path: Path, job: Job) -> None:
        pass

    return Image("test", "key", make, boot)


def build(image: Image) -> str:
    image.build(Job(lambda text: None, Path("/dev/null"), 10))
    return image.path.read_text()


def test_an_image_is_built_once(image: Image) -> None:
    assert not image.whole()
    assert build(image) == "image number 1"
    assert image.whole()
    assert build(image) == "image number 1"


def test_a_truncated_image_is_noticed_and_built_again(image: Image) -> None:
    build(image)
    image.path.write_text("image nu")
    assert not image.whole()
    assert build(image) == "image number 2"


def test_a_changed_image_of_the_same_size_is_noticed(image: Image) -> None:
    build(image)
    image.path.write_text("image number x")
    assert not image.whole()


def test_a_copied_image_is_hashed_and_accepted(image: Image) -> None:
    text = build(image)
    image.path.write_text(text)
    assert image.whole()


@pytest.mark.parametrize("record", ["", "{", "[]", '{"size": 14}'])
def test_a_broken_record_means_building_again(image: Image, record: str) -> None:
    build(image)
    image.path.with_suffix(".json").write_text(record)
    assert not image.whole()
    assert build(image) == "image number 2"


def test_a_proof_holds_for_this_very_file(image: Image) -> None:
    build(image)
    assert not image.proven()
    image.prove(Job(lambda text: None, Path("/dev/null"), 10))
    assert image.proven()
    image.path.write_text("something else")
    build(image)
    assert not image.proven()


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def make(target: Path, job: Job) -> None:
        target.write_text("half")
        raise CommandFailed("mke2fs", 1, "no")

    image = Image("test", "key", make, lambda *_: None)
    with pytest.raises(CommandFailed):
        build(image)
    assert not image.whole()
    assert not list(image.path.parent.glob("*.qcow2"))


def test_boot_sectors(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(bytes(4 << 20))
    disk.write_boot_sectors(raw, b"B" * 512, b"C" * 1000)
    data = raw.read_bytes()
    assert len(data) == 4 << 20
    assert data[:440] == b"B" * 440
    assert data[510:512] == b"\x55\xaa"
    assert data[512:1512] == b"C" * 1000
    active, _, kind, _, first, length = struct.unpack("<B3sB3sII", data[446:462])
    assert (active, kind, first, length) == (0x80, 0x83, 2048, 8192 - 2048)


def test_a_core_image_that_would_reach_into_the_file_system_is_refused(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(bytes(2 << 20))
    with pytest.raises(BadFile):
        disk.write_boot_sectors(raw, bytes(512), bytes(2048 * 512))
    assert raw.read_bytes() == bytes(2 << 20)


def test_initrd_is_a_cpio_archive() -> None:
    data = initrd.archive({"bin": initrd.directory(), "bin/x": initrd.file(b"text!", 0o755), "c": initrd.console()})
    found, stream = {}, io.BytesIO(data)
    while True:
        head = stream.read(110)
        assert head[:6] == b"070701"
        fields = [int(head[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        name = stream.read(fields[11])[:-1].decode()
        stream.seek(-stream.tell() % 4, 1)
        body = stream.read(fields[6])
        stream.seek(-stream.tell() % 4, 1)
        if name == "TRAILER!!!":
            break
        found[name] = (fields[1], body)
    assert found == {"bin": (0o040755, b""), "bin/x": (0o100755, b"text!"), "c": (0o020600, b"")}


def test_config_drive_is_what_cloud_init_reads(tmp_path: Path) -> None:
    target = tmp_path / "drive.iso"
    data = configdrive.user_data({"/etc/x": "text\n"}, "trove:trove")
    configdrive.write(target, uuid="u", hostname="h", mac="52:54:00:00:00:01", data=data)
    iso = pycdlib.PyCdlib()
    iso.open(str(target))
    assert iso.pvd.volume_identifier.decode().strip() == "config-2"
    seen = {}
    for name in ("meta_data.json", "network_data.json", "user_data"):
        out = io.BytesIO()
        iso.get_file_from_iso_fp(out, rr_path=f"/openstack/latest/{name}")
        seen[name] = out.getvalue().decode()
    iso.close()
    assert json.loads(seen["meta_data.json"])["uuid"] == "u"
    assert json.loads(seen["network_data.json"])["links"][0]["ethernet_mac_address"] == "52:54:00:00:00:01"
    assert seen["user_data"].startswith("#cloud-config\n")


def test_key_follows_content_and_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = content(tmp_path, "x")
    assert content(tmp_path, "x") == first
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = content(tmp_path, "x")
    (tmp_path / "b").write_text("2")
    assert len({first, renamed, content(tmp_path, "x"), content(tmp_path, "y")}) == 4


def test_the_guest_carries_both_datastores() -> None:
    assert {d.name: d.version for d in datastores.load("trixie")} == {"mariadb": "11.8", "postgresql": "17"}
    assert Recipe("trixie").key == Recipe("trixie").key != Recipe("trixie", backups=True).key


def test_of_troves_source_only_the_backup_program_is_taken() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in (
            "backup/main.py",
            "backup/drivers/postgres.py",
            "backup/tests/test.py",
            "backup/Dockerfile",
            "x.py",
        ):
            entry = tarfile.TarInfo(f"trove-23.0.0/{name}")
            entry.size = len(name)
            tar.addfile(entry, io.BytesIO(name.encode()))
    assert backup._members(buffer.getvalue()) == {
        name: name.encode() for name in ("backup/main.py", "backup/drivers/postgres.py")
    }


def test_the_backup_program_is_mended_where_it_must_be() -> None:
    (path, words), *_ = backup._recipe()["replace"].items()
    mended = backup._mended({path: " ".join(words).encode(), "backup/main.py": b"same"})
    assert mended == {path: " ".join(words.values()).encode(), "backup/main.py": b"same"}
    with pytest.raises(CheckFailed, match="does not have"):
        backup._mended({path: b"another release"})


def test_the_backup_program_is_pinned_and_its_image_named_after_it() -> None:
    assert re.fullmatch(r"trove==[\d.]+ --hash=sha256:[0-9a-f]{64}\n", backup.PINNED.read_text())
    assert backup.image() == "trove-lab/db-backup:" + backup.PINNED.read_text().split()[0].split("==")[1]
