"""Nova's Docker driver and uploaded image files: what is refused, and what a daemon gets of the rest.

For longer: ``LAB_FUZZ_EXAMPLES=250000`` (ten minutes), with pytest's ``--hypothesis-seed=NUMBER`` and
``--hypothesis-show-statistics``.
"""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import io
import json
import lzma
import os
import struct
import sys
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from lab.core.resources import RESOURCES

# by its path: the driver's own package wants an installed Nova, this module nothing
_SPEC = importlib.util.spec_from_file_location("archives", RESOURCES / "novadriver/nova/virt/docker/archives.py")
assert _SPEC is not None
assert _SPEC.loader is not None
archives: Any = importlib.util.module_from_spec(_SPEC)
sys.modules["archives"] = archives
_SPEC.loader.exec_module(archives)

Member = tuple[str, bytes] | tarfile.TarInfo | bytes
"""A file's name and content, a header without data, or raw blocks."""
CONFIG, LAYER = ("c", b'{"rootfs": {}}'), ("l", b"layer" * 200)
TAG = "debian:13"


class Frugal(io.BytesIO):
    """A file of which nobody takes more than 1 MiB at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 <= size <= 2**20
        return super().read(size)


def tar(*members: Member) -> bytes:
    written = io.BytesIO()
    for member in members:
        if isinstance(member, tuple):
            header = tarfile.TarInfo(member[0])
            header.size = len(member[1])
            written.write(header.tobuf(tarfile.GNU_FORMAT) + member[1] + bytes(-len(member[1]) % 512))
        else:
            written.write(member if isinstance(member, bytes) else member.tobuf(tarfile.GNU_FORMAT))
    return written.getvalue() + bytes(1024)


def header(name: str, kind: bytes, target: str = "", size: int = 0, pax: dict[str, str] | None = None) -> bytes:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size, made.pax_headers = kind, target, size, pax or {}
    return made.tobuf(tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT)


def manifest(**changes: object) -> tuple[str, bytes]:
    return "manifest.json", json.dumps([{"Config": "c", "RepoTags": [TAG], "Layers": ["l"], **changes}]).encode()


def rebuilt(data: bytes) -> dict[str, bytes]:
    """{name: content} of what the daemon gets."""
    assert archives.is_saved(Frugal(data))
    out = io.BytesIO(b"".join(archives.rebuilt(Frugal(data))))
    with tarfile.open(fileobj=out) as archive:
        members = archive.getmembers()
        assert all(member.isreg() and not member.issparse() for member in members)
        found = {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    assert len(found) == len(members)
    ((image),) = json.loads(found["manifest.json"])
    assert set(image) == {"Config", "Layers"}
    assert set(found) == {"manifest.json", image["Config"], *image["Layers"]}
    assert TAG.encode() not in found["manifest.json"]
    return found


def test_the_daemon_gets_a_manifest_without_names_and_the_files_that_it_names() -> None:
    index = {"manifests": [{"annotations": {"io.containerd.image.name": TAG}}]}
    found = rebuilt(
        tar(
            CONFIG, LAYER, ("index.json", json.dumps(index).encode()), ("oci-layout", b"{}"),
            ("repositories", b'{"debian": {"13": "l"}}'), manifest(repotags=[TAG], REPOTAGS=[TAG], Parent="sha256:0"),
        )
    )  # fmt: skip
    assert list(found) == ["manifest.json", "config.json", "layer-1.tar"]
    assert (found["config.json"], found["layer-1.tar"]) == (CONFIG[1], LAYER[1])


def test_a_layer_that_comes_twice_is_sent_once_however_it_is_written() -> None:
    """Docker before 25 links the second one to the first; later ones name it twice."""
    link = header("second/l", tarfile.SYMTYPE, "../l")
    found = rebuilt(
        tar(CONFIG, header("second/", tarfile.DIRTYPE), LAYER, link, manifest(Layers=["l", "second/l", "./l"]))
    )
    assert json.loads(found["manifest.json"])[0]["Layers"] == ["layer-1.tar"] * 3
    assert len(found) == 3


def test_members_with_extended_headers_and_names_from_the_folder_are_read() -> None:
    pax = header("./l", tarfile.REGTYPE, size=5, pax={"mtime": "1.5", "SCHILY.xattr.user.x": "y"})
    assert rebuilt(tar(("./c", b"{}"), pax + b"layer" + bytes(507), manifest()))["layer-1.tar"] == b"layer"


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(6 * 2**30)}
DEEP = b"[" * 100_000
NEGATIVE = tarfile.TarInfo("n")
NEGATIVE.size = -1024

REFUSED: dict[str, tuple[str, tuple[Member, ...]]] = {
    "two manifests": ("two members of one name", (manifest(), manifest())),
    "two manifests, written differently": ("two members of one name", (("./manifest.json", b"[]"), manifest())),
    "two layers of one name": ("two members of one name", (LAYER, manifest())),
    "a folder as the manifest": ("no manifest.json that is a file", (header("manifest.json", tarfile.DIRTYPE),)),
    "a key twice": ("a key comes twice", (("manifest.json", b'[{"Config": "c", "Config": "l", "Layers": ["l"]}]'),)),
    "no JSON": ("manifest.json cannot be read", (("manifest.json", b"\xff"),)),
    "nested without end": ("manifest.json cannot be read", (("manifest.json", DEEP),)),
    "nested without end in a value": (
        "manifest.json cannot be read",
        (("manifest.json", b'[{"Config": "c", "Layers": ["l"], "x": ' + DEEP),),
    ),
    "a large manifest": ("larger than 1048576 bytes", (("manifest.json", b" " * 2**20 + manifest()[1]),)),
    "a large configuration": ("larger than 1048576 bytes", (("big", bytes(2**20 + 1)), manifest(Config="big"))),
    "a sparse manifest, old": ("sparse member", (header("manifest.json", tarfile.GNUTYPE_SPARSE),)),
    "a sparse manifest": ("sparse member", (header("manifest.json", b"0", pax=SPARSE),)),
    "two images": ("exactly one image", (("manifest.json", b"[{}, {}]"),)),
    "no image": ("exactly one image", (("manifest.json", b"{}"),)),
    "no layers": ("must have Config", (manifest(Layers=None),)),
    "layers in another case": ("must have Config", (("manifest.json", b'[{"Config": "c", "layers": ["l"]}]'),)),
    "layers that are no names": ("must have Config", (manifest(Layers=[1]),)),
    "a configuration that is no name": ("must have Config", (manifest(Config={"c": 1}),)),
    "too many layers": ("more than 128 layers", (manifest(Layers=["l"] * 129),)),
    "a missing layer": ("does not have: 'x'", (manifest(Layers=["x"]),)),
    "a missing configuration": ("does not have: 'x'", (manifest(Config="x"),)),
    "a folder as a layer": ("does not have: 'f'", (header("f/", tarfile.DIRTYPE), manifest(Layers=["f"]))),
    "the manifest as a layer": ("does not have", (manifest(Layers=["manifest.json"]),)),
    "a layer outside": ("leads out of it", (manifest(Layers=["../../etc/shadow"]),)),
    "a layer from the root": ("leads out of it", (manifest(Layers=["/etc/shadow"]),)),
    "a member outside": ("leads out of it", (("a/../../x", b""), manifest())),
    "a member from the root": ("leads out of it", (("/x", b""), manifest())),
    "a link outside": ("leads out of it", (header("s", tarfile.SYMTYPE, "../../etc/shadow"), manifest())),
    "a link to nothing": ("symbolic link to what is no file", (header("s", tarfile.SYMTYPE, "x"), manifest())),
    "a link to a link": (
        "symbolic link to what is no file",
        (header("s", tarfile.SYMTYPE, "t"), header("t", tarfile.SYMTYPE, "l"), manifest()),
    ),
    "the manifest a link to itself": ("symbolic link", (header("manifest.json", tarfile.SYMTYPE, "manifest.json"),)),
    "a hard link": ("neither file, folder nor symbolic link", (header("h", tarfile.LNKTYPE, "l"), manifest())),
    "a device": ("neither file, folder nor symbolic link", (header("d", tarfile.CHRTYPE), manifest())),
    "a pipe": ("neither file, folder nor symbolic link", (header("p", tarfile.FIFOTYPE), manifest())),
    "an unknown type": ("neither file, folder nor symbolic link", (header("u", b"Z"), manifest())),
    "many members": ("more than 4096 members", (*((f"m{n}", b"") for n in range(4096)), manifest())),
    "a member of negative size": ("to its end", (NEGATIVE, manifest())),
    "a large extended header": ("header of more than", (header("x", tarfile.XHDTYPE, size=2**20), bytes(2**20))),
    "an extended header that is none": (
        "extended header that cannot be read",
        (header("x", tarfile.XHDTYPE, size=512), b"99 a=b\n" + bytes(505), manifest()),
    ),
    "neither": ("neither a docker save archive", ()),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_archive_needs_is_refused_with_a_sentence(case: str) -> None:
    words, members = REFUSED[case]
    data = tar(CONFIG, LAYER, *members)
    with pytest.raises(archives.Refused, match=words):
        rebuilt(data)


COMPRESSORS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_of_compressed_files_only_root_file_systems_pass(compress: Callable[[bytes], bytes]) -> None:
    assert not archives.is_saved(Frugal(compress(tar(("./etc/passwd", b"")))))
    assert not archives.is_saved(Frugal(compress(tar(("boot/kernel", bytes(2**21)), ("etc/passwd", b"")))))
    for words, data in (
        ("uploaded uncompressed", tar(CONFIG, manifest())),
        ("neither", tar(("readme", b""))),
        ("to its end", b"QFI\xfb" + bytes(1000)),
    ):
        with pytest.raises(archives.Refused, match=words):
            archives.is_saved(Frugal(compress(data)))
    with pytest.raises(archives.Refused, match="cannot be decompressed"):
        archives.is_saved(Frugal(compress(b"")[:6] + bytes(100)))


def test_xz_that_wants_gigabytes_to_be_read() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**28}]
    with pytest.raises(archives.Refused, match="Memory usage limit"):
        archives.is_saved(Frugal(lzma.compress(tar(("etc/passwd", b"")), filters=filters)))


def test_a_truncated_archive() -> None:
    for end in (300, 1400, 1600):
        with pytest.raises(archives.Refused, match="to its end"):
            archives.is_saved(Frugal(tar(CONFIG, LAYER, manifest())[:end]))


NAMES = st.sampled_from(
    [
        "manifest.json",
        "./manifest.json",
        "index.json",
        "oci-layout",
        "repositories",
        "blobs/sha256/aa",
        "s",
        "f/",
        "../x",
        "/x",
        "etc/x",
        "\udcff",
        "n" * 120,
        "",
        "./l",
        "c",
        "l",
    ]
)
RARELY = st.sampled_from([*[False] * 15, True, *[False] * 15])
"""In the middle: Hypothesis is fond of the ends."""
KINDS = st.sampled_from([*[b"0"] * 8, *[b"2"] * 3, b"5", b"5", *(bytes([kind]) for kind in b"\x001367gxLKSZ")])
KEYS = st.sampled_from(
    ["Config", "config", "RepoTags", "repotags", "Layers", "layers", "Parent", "LayerSources", "ſ"]
)
VALUES = st.one_of(NAMES, st.lists(NAMES, max_size=3), st.just([TAG]), st.none(), st.integers())
OBJECTS = st.lists(st.tuples(KEYS, VALUES), max_size=5).map(
    lambda pairs: ("{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs) + "}").encode()
)
EXTRA = st.dictionaries(KEYS.filter(lambda key: key not in ("Config", "Layers")), VALUES, max_size=3)
USUAL = EXTRA.map(lambda extra: manifest(**extra)[1])
MANIFESTS = st.one_of(
    USUAL,
    st.lists(OBJECTS, max_size=2).map(lambda objects: b"[" + b", ".join(objects) + b"]"),
    st.binary(max_size=40),
    st.integers(0, 3000).map(lambda depth: b"[" * depth),
)
PAX = st.dictionaries(
    st.sampled_from(["path", "linkpath", "size", "GNU.sparse.size", "GNU.sparse.name", "mtime", "hdrcharset"]),
    st.one_of(NAMES, st.integers(-2000, 2000).map(str)),
    max_size=2,
)
RARELY_PAX: st.SearchStrategy[dict[str, str]] = st.one_of(st.just({}), st.just({}), st.just({"mtime": "1.5"}), PAX)


@st.composite
def members(draw: st.DrawFn) -> bytes:
    """Any header, with or without the data that it tells of."""
    name, content = draw(NAMES), draw(MANIFESTS)
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.pax_headers = draw(KINDS), draw(NAMES), draw(RARELY_PAX)
    made.size = draw(st.sampled_from([0, -512, 2**40])) if draw(RARELY) else len(content)
    plain = draw(st.booleans())
    blocks = made.tobuf(tarfile.GNU_FORMAT if plain else tarfile.PAX_FORMAT, errors="surrogateescape")
    return blocks + content + bytes(-len(content) % 512)


CHANGES = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=2)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Usual archives with members more, and bytes of it changed, cut out or cut off; now and then compressed."""
    usual = [("c", b"{}"), ("l", b"layer"), ("manifest.json", draw(st.one_of(USUAL, USUAL, MANIFESTS)))]
    parts = [tar(part)[:-1024] for part in usual if not draw(RARELY)]
    for part in draw(st.lists(members(), max_size=3)):
        parts.insert(draw(st.integers(0, len(parts))), part)
    data = bytearray(b"".join(parts) + bytes(1024))
    for place, value in draw(CHANGES) if draw(RARELY) else []:
        block = place // 512 * 512
        if len(data) >= block + 512:
            data[place] = value
            if draw(st.booleans()):
                # so that the change is read, not found by the sum
                data[block + 148 : block + 156] = b" " * 8
                data[block + 148 : block + 156] = b"%06o\0 " % sum(struct.unpack("512B", data[block : block + 512]))
    if draw(RARELY):
        del data[draw(st.integers(0, len(data))) :]
    if draw(RARELY):
        return draw(st.sampled_from(COMPRESSORS))(bytes(data))
    return bytes(data)


@settings(
    max_examples=int(os.environ.get("LAB_FUZZ_EXAMPLES", "5000")),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(files())
def test_whatever_the_file_it_is_refused_or_names_nothing(data: bytes) -> None:
    try:
        if archives.is_saved(Frugal(data)):
            rebuilt(data)
            event("archive")
        else:
            event("root file system")
    except archives.Refused as refusal:
        event(str(refusal).split(":")[0][:60])
        assert str(refusal).isascii()
        assert len(str(refusal).splitlines()) == 1
