"""The one door to the Docker engine: connections, images built by content, and what carries our label."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.images import Image

from lab import waits
from lab.errors import CommandFailed, DiskFull, DockerUnusable, Interrupted, TimedOut
from lab.home import LABEL
from lab.process import LAST_LINES
from lab.waits import Note

SHARED = "cache"
"""Label value on images that several labs may use; their tags say which labs do."""
API_SECONDS = 60
LET_GO = "test ! -x /etc/trove-lab/detach-loops.sh || /etc/trove-lab/detach-loops.sh"
"""Loop devices are the kernel's: those that a machine's container attached would stay on this host."""
INSTALL = "./inv up installs and starts one; ./inv doctor says what is missing"


@contextlib.contextmanager
def client(seconds: float = API_SECONDS) -> Iterator[docker.DockerClient]:
    """A connection; ``seconds`` bounds one answer. Raises: DockerUnusable, DiskFull, TimedOut, CommandFailed."""
    try:
        connection = docker.from_env(timeout=int(seconds))
    except DockerException as error:
        raise DockerUnusable(_why(error), INSTALL) from error
    try:
        yield connection
    except requests.Timeout as error:
        raise TimedOut("an answer of the Docker engine", seconds, "--build-timeout", str(error)) from error
    except requests.ConnectionError as error:
        raise DockerUnusable(_why(error), INSTALL) from error
    except APIError as error:
        said = str(error.explanation or error)
        if "no space left on device" in said:
            raise DiskFull("Docker's storage") from error
        raise CommandFailed("docker (through its API)", error.status_code or 1, said) from error
    finally:
        connection.close()


def usable() -> str | None:
    """None when an engine answers, else why not (one phrase)."""
    try:
        with client(5) as engine:
            engine.ping()
    except (DockerUnusable, TimedOut, CommandFailed) as error:
        return error.cause
    return None


def find(tag: str) -> Image | None:
    """The image of that tag, if it is here."""
    with client() as engine:
        try:
            return engine.images.get(tag)
        except ImageNotFound:
            return None


def context(directory: Path, extra: Mapping[str, bytes]) -> bytes:
    """A build context as a tar that depends on nothing but names, modes and bytes (no times, no owners)."""
    members = {p.relative_to(directory).as_posix(): p for p in sorted(directory.rglob("*")) if p.is_file()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in sorted({*members, *extra}):
            data = extra[name] if name in extra else members[name].read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o755 if name in members and members[name].stat().st_mode & 0o100 else 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def content_tag(repository: str, tar: bytes, arguments: Mapping[str, str]) -> str:
    """``repository:SHA`` of what goes into a build."""
    digest = hashlib.sha256(tar)
    digest.update(json.dumps(dict(arguments), sort_keys=True).encode())
    return f"{repository}:{digest.hexdigest()[:16]}"


def build(
    repository: str,
    directory: Path,
    *,
    arguments: Mapping[str, str],
    note: Note,
    log: Path,
    seconds: float,
    extra: Mapping[str, bytes] | None = None,
    proxies: Mapping[str, str] | None = None,
) -> str:
    """Build ``directory`` unless the same content was built before; give its tag, ``repository:SHA``.

    ``extra`` are files of the context that do not lie in ``directory``; ``proxies`` are build arguments that do not
    count as content. The classic builder is asked for: its layers inherit the base's label, so that even a killed
    build is found again. Network: the host's, which has name resolution wherever the host has it.
    Raises: CommandFailed, DiskFull, TimedOut, DockerUnusable.
    """
    tar = context(directory, extra or {})
    tag = content_tag(repository, tar, arguments)
    if find(tag) is not None:
        return tag
    with client(seconds) as engine, log.open("a", encoding="utf-8") as sink:
        stream = engine.api.build(
            fileobj=io.BytesIO(tar),
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            decode=True,
            network_mode="host",
            labels={LABEL: SHARED},
            buildargs={**arguments, **(proxies or {})},
        )
        last: list[str] = []
        for event in stream:
            if waits.cancelled.is_set():
                raise Interrupted("the same command again")
            text = str(event.get("stream") or event.get("error") or "")
            sink.write(text)
            last = [*last, *text.splitlines()][-LAST_LINES:]
            if text.startswith("Step "):
                note(text.split("\n")[0][:100])
            if "error" in event:
                if "no space left on device" in "\n".join(last).lower():
                    raise DiskFull("Docker's storage")
                code = int(event.get("errorDetail", {}).get("code", 1))
                raise CommandFailed(f"docker build {directory.name}", code, "\n".join(last), log)
    return tag


def tag(image: str, repository: str, version: str) -> str:
    """Give ``image`` the tag ``repository:version`` too, and return that."""
    with client() as engine:
        engine.images.get(image).tag(repository, version)
    return f"{repository}:{version}"


def output(image: str, command: list[str], label: str = SHARED, seconds: float = 60, **settings: Any) -> str:
    """What ``command`` prints in a throw-away container of ``image``, without network. Raises: CommandFailed."""
    with client(seconds) as engine:
        container = engine.containers.create(
            image, command, entrypoint="", network_mode="none", labels={LABEL: label}, **settings
        )
        try:
            container.start()
            code = container.wait()["StatusCode"]
            said = container.logs(stderr=code != 0).decode()
        finally:
            container.remove(force=True, v=True)  # containers.run(remove=True) leaves anonymous volumes behind
    if code:
        raise CommandFailed(f"docker run {image} {' '.join(command)}", code, said)
    return said


def save(tag: str, target: Path) -> None:
    """Write the image under just this ``tag``, as ``docker save`` does; it may have others."""
    with client(600) as engine, target.open("wb") as file:
        for chunk in engine.images.get(tag).save(named=tag):
            file.write(chunk)


def export(tag: str, target: Path) -> None:
    """Write an image's files, as a container sees them, to the tar ``target``. Raises: CommandFailed, DiskFull."""
    with client(600) as engine:
        container = engine.containers.create(tag, ["true"], labels={LABEL: SHARED}, network_mode="none")
        try:
            with target.open("wb") as file:
                for chunk in container.export():
                    file.write(cast("bytes", chunk))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DiskFull(str(target)) from error
        finally:
            container.remove(force=True, v=True)


def claim(tag: str, name: str) -> str:
    """Say that lab ``name`` uses the image: it gets the tag ``repository:NAME`` as well, which is returned."""
    repository = tag.rsplit(":", 1)[0]
    with client() as engine:
        engine.images.get(tag).tag(repository, f"lab-{name}")
    return f"{repository}:lab-{name}"


def release(name: str, keep: bool) -> None:
    """Take lab ``name``'s claims back; unless ``keep``, images that no lab claims any more are removed."""
    with client(600) as engine:
        for image in engine.images.list(filters={"label": LABEL}):
            ours = [tag for tag in image.tags if tag.endswith(f":lab-{name}")]
            for tag in image.tags if not keep and _only(name, image.tags) else ours:
                with contextlib.suppress(ImageNotFound):
                    engine.images.remove(tag, force=True)


def claimed(name: str) -> list[str]:
    """The images that go with lab ``name``: a tag of each that no other lab claims."""
    with client() as engine:
        images = engine.images.list(filters={"label": LABEL})
        return sorted(image.tags[0] for image in images if _only(name, image.tags))


def _only(name: str, tags: list[str]) -> bool:
    """Whether lab ``name`` claims the image of these tags, and no other does."""
    return [tag.rsplit(":", 1)[1] for tag in tags if ":lab-" in tag] == [f"lab-{name}"]


def tags(pattern: str) -> list[str]:
    """The whole tags that match ``pattern`` (a regular expression)."""
    with client() as engine:
        return sorted(t for image in engine.images.list() for t in image.tags if re.fullmatch(pattern, t))


def remove_tags(pattern: str, but: str = "") -> None:
    """Remove the images whose whole tag matches ``pattern`` (a regular expression), except ``but``."""
    with client(600) as engine:
        for tag in tags(pattern):
            if tag != but:
                with contextlib.suppress(ImageNotFound):
                    engine.images.remove(tag)


def strangers() -> list[str]:
    """Containers that are no lab's."""
    with client() as engine:
        return [str(c.name) for c in engine.containers.list(all=True, ignore_removed=True) if LABEL not in c.labels]


def users() -> set[str]:
    """Names of the labs (of any checkout) and runs that have containers here."""
    with client() as engine:
        found = engine.containers.list(all=True, ignore_removed=True)
        return {str(c.labels[LABEL]) for c in found if LABEL in c.labels}


def labelled(name: str | None) -> list[str]:
    """What Docker holds of lab ``name`` (None: of any lab, caches included), as ``kind name`` lines."""
    wanted: dict[str, str | list[str] | bool] = {"label": LABEL if name is None else f"{LABEL}={name}"}
    with client() as engine:
        found = [f"container {c.name}" for c in engine.containers.list(all=True, filters=wanted, ignore_removed=True)]
        found += [f"network {n.name}" for n in engine.networks.list(filters=wanted)]
        found += [f"volume {v.name}" for v in engine.volumes.list(filters=wanted)]
        found += [f"image {(image.tags or [image.short_id])[0]}" for image in engine.images.list(filters=wanted)]
    return sorted(found)


def remove_container(container: Container) -> None:
    """Remove a machine's container with its anonymous volumes; its loop devices are let go first."""
    if container.status == "running":
        container.exec_run(["sh", "-c", LET_GO])
    container.remove(force=True, v=True)


def remove_labelled(name: str | None) -> None:
    """Remove what ``labelled`` lists of lab ``name``: containers, networks, volumes, images with that very label."""
    wanted: dict[str, str | list[str] | bool] = {"label": LABEL if name is None else f"{LABEL}={name}"}
    gone = contextlib.suppress(NotFound)
    with client(600) as engine:
        for container in engine.containers.list(all=True, filters=wanted, ignore_removed=True):
            with gone:
                remove_container(container)
        for network in engine.networks.list(filters=wanted):
            with gone:
                network.remove()
        for volume in engine.volumes.list(filters=wanted):
            with gone:
                volume.remove(force=True)
        for image in engine.images.list(filters=wanted):
            for tag in image.tags or [str(image.id)]:
                try:
                    engine.images.remove(tag, force=True)
                except APIError as error:
                    if error.status_code not in (404, 409):  # 409: another's layers stand on it; it goes with those
                        raise


def _why(error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text:
        return "this user may not use the engine's socket"
    if "FileNotFoundError" in text or "No such file" in text or "Connection refused" in text:
        return "no engine listens on its socket"
    return text.splitlines()[0][:200] if text else type(error).__name__
