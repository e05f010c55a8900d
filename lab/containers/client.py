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
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.images import Image

from lab.core import waits
from lab.core.errors import CommandFailed, DiskFull, DockerUnusable, Interrupted, TimedOut
from lab.core.home import LABEL
from lab.core.job import Job
from lab.core.process import LAST_LINES

SHARED = "cache"
"""Label value on images that several labs may use; their tags say which labs do."""
API_SECONDS = 60
INSTALL = "./inv up installs and starts one; ./inv doctor says what is missing"


def dial(seconds: float = API_SECONDS, connections: int = 10) -> docker.DockerClient:
    """A connection that the caller closes: ``seconds`` bounds one answer, ``connections`` those at the same time.

    Raises: DockerUnusable.
    """
    try:
        return docker.from_env(timeout=int(seconds), max_pool_size=connections)
    except DockerException as error:
        raise DockerUnusable(_why(error), INSTALL) from error


@contextlib.contextmanager
def connect(seconds: float = API_SECONDS, setting: str = "") -> Iterator[docker.DockerClient]:
    """A connection; ``seconds`` bounds one answer, and ``setting`` is the flag that raises them.

    Raises: DockerUnusable, DiskFull, TimedOut, CommandFailed.
    """
    connection = dial(seconds)
    try:
        yield connection
    except requests.Timeout as error:
        raise TimedOut("an answer of the Docker engine", seconds, setting, str(error)) from error
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
        with connect(5) as daemon:
            daemon.ping()
    except (DockerUnusable, TimedOut, CommandFailed) as error:
        return error.cause
    return None


def find(tag: str) -> Image | None:
    """The image of that tag, if it is here."""
    with connect() as daemon:
        try:
            return daemon.images.get(tag)
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
    job: Job,
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
    with connect(job.seconds, job.setting) as daemon, job.log.open("a", encoding="utf-8") as sink:
        stream = daemon.api.build(
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
                job.note(text.split("\n", maxsplit=1)[0][:100])
            if "error" in event:
                if "no space left on device" in "\n".join(last).lower():
                    raise DiskFull("Docker's storage")
                code = int(event.get("errorDetail", {}).get("code", 1))
                raise CommandFailed(f"docker build {directory.name}", code, "\n".join(last), job.log)
    return tag


def tag(image: str, repository: str, version: str) -> str:
    """Give ``image`` the tag ``repository:version`` too, and return that."""
    with connect() as daemon:
        daemon.images.get(image).tag(repository, version)
    return f"{repository}:{version}"


def output(image: str, command: list[str], label: str = SHARED, seconds: float = 60, **settings: Any) -> str:
    """What ``command`` prints in a throw-away container of ``image``, without network. Raises: CommandFailed."""
    with connect(seconds) as daemon:
        container = daemon.containers.create(
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
    with connect(600) as daemon, target.open("wb") as file:
        for chunk in daemon.images.get(tag).save(named=tag):
            file.write(chunk)


def load(file: Path, seconds: float) -> None:
    """Take the images that ``save`` wrote, with their tags. Raises: CommandFailed, DiskFull, TimedOut."""
    with connect(seconds) as daemon, file.open("rb") as data:
        daemon.images.load(data)


def export(tag: str, target: Path) -> None:
    """Write an image's files, as a container sees them, to the tar ``target``. Raises: CommandFailed, DiskFull."""
    with connect(600) as daemon:
        container = daemon.containers.create(tag, ["true"], labels={LABEL: SHARED}, network_mode="none")
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


def tags(pattern: str) -> list[str]:
    """The whole tags that match ``pattern`` (a regular expression)."""
    with connect() as daemon:
        return sorted(t for image in daemon.images.list() for t in image.tags if re.fullmatch(pattern, t))


def remove_tags(pattern: str, but: str = "") -> None:
    """Remove the images whose whole tag matches ``pattern`` (a regular expression), except ``but``."""
    with connect(600) as daemon:
        for tag in tags(pattern):
            if tag != but:
                with contextlib.suppress(ImageNotFound):
                    daemon.images.remove(tag)


def _why(error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text:
        return "this user may not use the engine's socket"
    if "FileNotFoundError" in text or "No such file" in text or "Connection refused" in text:
        return "no engine listens on its socket"
    return text.splitlines()[0][:200] if text else type(error).__name__
