"""Image files as somebody uploaded them, read without trust; of a ``docker save`` archive a new one is made.

The daemon gets exactly three things of an archive: a manifest of ``Config`` and ``Layers``, the file that the first
names and those that the second names, all under names given here. So nothing else in which a daemon looks for an
image's name reaches it: ``RepoTags`` in any case, ``repositories``, ``index.json``, ``oci-layout``.

Headers are read here, not by :class:`tarfile.TarFile`: that one takes headers of any size into memory, recurses from
one into the next and follows negative sizes backwards. What is held in memory is bounded by the figures below.
Needs the standard library only.
"""

import bz2
import dataclasses
import io
import json
import lzma
import posixpath
import tarfile
import zlib

BLOCK = tarfile.BLOCKSIZE
CHUNK = 2**20
"""Bytes read at once; of a compressed file no more is looked at, neither before nor after decompression."""
XZ_MEMORY = 2**27
"""Bytes; ``xz -9`` needs 65 MiB."""
HEADERS = 2**16
"""Headers looked at until a file has shown what it is."""
MEMBERS = 4096
"""Members of an archive; the oldest format has four for each layer."""
LAYERS = 128
"""Docker itself stops at 125."""
JSON = 2**20
"""Bytes of the manifest, and of the configuration, which the daemon takes into memory whole."""
EXTENDED, NAME = 2**16, 4096
"""Bytes of an extended (pax) header, and of a name."""

FILE, FOLDER, SYMLINK, SPARSE, PAX = b"0", tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE
BARE = b"123456"
"""Types without data, whatever size their headers tell."""
COMPRESSED = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(31)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY)),
)


class Refused(Exception):
    """The file cannot be an image here; the message is one sentence for whoever uploaded it."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One header of a tar archive: ``size`` bytes of data at ``offset`` of the file; ``target`` of a link."""

    name: str
    kind: bytes
    size: int
    offset: int
    target: str


def is_saved(file):
    """Whether it is a ``docker save`` archive (True) or a root file system tarball (False).

    :param file: seekable, binary
    :raises Refused: it is neither, or a compressed archive
    """
    file.seek(0)
    start, plain, cut = file.read(CHUNK), file, False
    for magic, decompressor in COMPRESSED:
        if start.startswith(magic):
            try:
                plain = io.BytesIO(decompressor().decompress(start, CHUNK))
            except (zlib.error, OSError, lzma.LZMAError) as error:
                raise Refused(f"it cannot be decompressed: {error}") from error
            cut = bool(file.read(1)) or len(plain.getvalue()) == CHUNK
    saved = _seen(members(plain, cut))
    if saved and plain is not file:
        raise Refused("a docker save archive must be uploaded uncompressed")
    if saved is None and not cut:
        raise Refused("neither a docker save archive (manifest.json) nor a root file system (bin, etc, usr)")
    return bool(saved)


def _seen(headers):
    layout = False
    for member in headers:
        name = posixpath.normpath(member.name)
        if name == "manifest.json":
            return True
        top = name.split("/")[0]
        layout = layout or top in ("blobs", "oci-layout")
        if top in ("bin", "etc", "usr") and not layout:
            return False
    return None


def members(file, cut=False):
    """Every member, read from the headers alone.

    :param cut: the file is only the beginning of one, so that its end is no error
    :raises Refused: this is no tar archive, or not all of one
    """
    end, offset, extended = file.seek(0, io.SEEK_END), 0, {}
    for _ in range(HEADERS):
        file.seek(offset)
        header = file.read(BLOCK)
        if not header or header == bytes(BLOCK):
            return
        try:
            found = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            size = int(extended.get("size", found.size))
        except (tarfile.HeaderError, ValueError) as error:
            if cut and len(header) < BLOCK:
                return
            raise Refused(f"not a tar archive that can be read to its end: {error}") from error
        offset += BLOCK
        data = 0 if found.type in BARE else size
        if size < 0 or offset + data > end:
            if cut and size >= 0:
                return
            raise Refused("not a tar archive that can be read to its end: a member is larger than the file")
        if found.type == PAX:
            if size > EXTENDED:
                raise Refused(f"a tar archive with an extended header of more than {EXTENDED} bytes")
            extended = _records(file.read(size))
        else:
            kind = FILE if found.type == tarfile.AREGTYPE else found.type
            if any(key.startswith("GNU.sparse.") for key in extended):
                kind = SPARSE
            name, target = extended.get("path", found.name), extended.get("linkpath", found.linkname)
            yield Member(name[:NAME], kind, data, offset, target[:NAME])
            extended = {}
        offset += -(-data // BLOCK) * BLOCK
    raise Refused(f"a tar archive that does not show within {HEADERS} members what it is")


def _records(data):
    """{key: value} of an extended header: lines of ``length key=value``."""
    records, start = {}, 0
    while start < len(data):
        blank = data.find(b" ", start, start + 8)
        length = data[start:blank]
        if not length.isdigit() or not blank - start < int(length) <= len(data) - start:
            raise Refused("a tar archive with an extended header that cannot be read")
        key, _, value = data[blank + 1 : start + int(length) - 1].partition(b"=")
        records[key.decode(errors="surrogateescape")] = value.decode(errors="surrogateescape")
        start += int(length)
    return records


def rebuilt(file):
    """The archive that the daemon gets: an iterator of bytes. Everything is looked at before the first of them.

    :param file: seekable, binary; read until the iterator's end
    :raises Refused: not exactly one whole image, or something that such an archive does not need
    """
    found = _files(file)
    if "manifest.json" not in found:
        raise Refused("the archive has no manifest.json that is a file")
    config, layers = _image(_read(file, found["manifest.json"]))
    config, layers = _content(found, config), [_content(found, layer) for layer in layers]
    _read(file, config)
    names = {config: "config.json"}
    for layer in layers:
        names.setdefault(layer, f"layer-{len(names)}.tar")
    manifest = [{"Config": "config.json", "Layers": [names[layer] for layer in layers]}]
    return _written(file, json.dumps(manifest).encode(), names)


def _files(file):
    """{name: member} of files and of links to them."""
    found = {}
    for member in members(file):
        name = _clean(member.name)
        if member.kind == SPARSE:
            raise Refused(f"the archive has a sparse member: {_quoted(name)}")
        if member.kind not in (FILE, FOLDER, SYMLINK):
            raise Refused(f"the archive has a member that is neither file, folder nor symbolic link: {_quoted(name)}")
        if name in found:
            raise Refused(f"the archive has two members of one name: {_quoted(name)}")
        if len(found) == MEMBERS:
            raise Refused(f"the archive has more than {MEMBERS} members")
        found[name] = member
    files = {name: member for name, member in found.items() if member.kind == FILE}
    # Docker before 25 writes a layer that comes twice as a link to the first
    for name, member in found.items():
        if member.kind == SYMLINK:
            target = _clean(posixpath.join(posixpath.dirname(name), member.target))
            if target not in found or found[target].kind != FILE:
                raise Refused(f"the archive has a symbolic link to what is no file in it: {_quoted(name)}")
            files[name] = found[target]
    return files


def _clean(name):
    clean = posixpath.normpath(name)
    if clean.startswith(("/", "../")) or clean == ".." or "\0" in clean or len(name) >= NAME:
        raise Refused(f"the archive has a name that leads out of it: {_quoted(name)}")
    return clean


def _quoted(name):
    return ascii(name[:100])


def _read(file, member):
    if member.size > JSON:
        raise Refused(f"the manifest or the configuration is larger than {JSON} bytes: {_quoted(member.name)}")
    file.seek(member.offset)
    return file.read(member.size)


def _image(text):
    """(Config, Layers) of the manifest's one image."""
    try:
        manifest = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Refused(f"manifest.json cannot be read: {error}") from error
    if not isinstance(manifest, list) or len(manifest) != 1 or not isinstance(manifest[0], dict):
        raise Refused("the archive must hold exactly one image")
    config, layers = manifest[0].get("Config"), manifest[0].get("Layers")
    if not isinstance(config, str) or not isinstance(layers, list) or not all(isinstance(n, str) for n in layers):
        raise Refused("manifest.json must have Config, a name, and Layers, a list of names")
    if len(layers) > LAYERS:
        raise Refused(f"the image has more than {LAYERS} layers")
    return config, layers


def _once(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return dict(pairs)


def _content(found, name):
    clean = _clean(name)
    if clean not in found or clean == "manifest.json":
        raise Refused(f"manifest.json names a file that the archive does not have: {_quoted(name)}")
    return found[clean]


def _written(file, manifest, names):
    yield _header("manifest.json", len(manifest)) + manifest + _padding(len(manifest))
    for member, name in names.items():
        yield _header(name, member.size)
        for start in range(0, member.size, CHUNK):
            file.seek(member.offset + start)
            yield file.read(min(CHUNK, member.size - start))
        yield _padding(member.size)
    yield bytes(2 * BLOCK)


def _header(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size):
    return bytes(-size % BLOCK)
