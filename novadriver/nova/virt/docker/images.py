"""Glance images in the Docker daemon: loaded once, named by Glance id and checksum, removed when unused."""

import json
import os
import tarfile
import tempfile

import docker.errors
from nova import exception
from nova.virt import images as glance
from oslo_concurrency import lockutils
from oslo_log import log as logging
from oslo_utils import timeutils

import nova.conf
from nova.virt.docker import errors

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

REPOSITORY = "nova-glance"


def name(image_meta):
    """The Docker name of a Glance image."""
    checksum = image_meta.checksum if image_meta.obj_attr_is_set("checksum") and image_meta.checksum else "unknown"
    return f"{REPOSITORY}/{image_meta.id}:{checksum[:12]}"


def ensure(client, context, image_meta):
    """Load the image unless it is there. Returns its Docker name.

    :raises ImageUnacceptable: it is neither a ``docker save`` archive nor a root file system tarball
    """
    reference = name(image_meta)
    with lockutils.lock(f"docker-image-{image_meta.id}"):
        try:
            client.images.get(reference)
        except docker.errors.ImageNotFound:
            _fetch(client, context, image_meta.id, reference)
    return reference


def _fetch(client, context, image_id, reference):
    directory = os.path.join(CONF.instances_path, CONF.image_cache.subdirectory_name)
    os.makedirs(directory, exist_ok=True)
    handle, path = tempfile.mkstemp(prefix=f"{image_id}-", dir=directory)
    os.close(handle)
    try:
        glance.fetch(context, image_id, path)
        manifest = inspect(image_id, path)
        with errors.translated(), open(path, "rb") as file:
            if manifest is None:
                repository, tag = reference.split(":")
                client.api.import_image(src=path, repository=repository, tag=tag)
            else:
                _load(client, file, manifest, reference)
        client.images.get(reference)
    except (errors.DockerError, docker.errors.ImageLoadError, docker.errors.ImageNotFound) as error:
        raise exception.ImageUnacceptable(image_id=image_id, reason=str(error)) from error
    finally:
        os.unlink(path)


def _load(client, file, manifest, reference):
    loaded = client.images.load(file)
    if not loaded:
        raise docker.errors.ImageLoadError("the archive holds no image")
    repository, tag = reference.split(":")
    loaded[0].tag(repository, tag)
    # the archive's own names would let one tenant's upload stand in for another image on this host
    for other in manifest.get("RepoTags") or []:
        if other != reference:
            client.images.remove(other, noprune=True)


def inspect(image_id, path):
    """The manifest of a ``docker save`` archive, or None for a root file system tarball.

    :raises ImageUnacceptable: anything else, and an archive with other than one image
    """
    top = set()
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name == "manifest.json":
                    content = archive.extractfile(member)
                    manifest = json.load(content) if content else []
                    return _one_image(image_id, manifest)
                top.add(member.name.removeprefix("./").split("/")[0])
                if {"bin", "etc", "usr"} & top and not {"blobs", "oci-layout"} & top:
                    return None
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise exception.ImageUnacceptable(
            image_id=image_id, reason=f"not a tar archive that can be read to its end: {error}"
        ) from error
    raise exception.ImageUnacceptable(
        image_id=image_id, reason="neither a docker save archive (manifest.json) nor a root file system (bin, etc, usr)"
    )


def _one_image(image_id, manifest):
    if not isinstance(manifest, list) or len(manifest) != 1:
        raise exception.ImageUnacceptable(image_id=image_id, reason="the archive must hold exactly one image")
    if any(tag.startswith(f"{REPOSITORY}/") for tag in manifest[0].get("RepoTags") or []):
        raise exception.ImageUnacceptable(image_id=image_id, reason=f"its names must not begin with {REPOSITORY}/")
    return manifest[0]


def remove_unused(client):
    """Remove images that no container uses and whose minimum age has passed."""
    used = {container.attrs["ImageID"] for container in client.containers.list(all=True, sparse=True)}
    for image in client.images.list():
        ours = [tag for tag in image.tags if tag.startswith(f"{REPOSITORY}/")]
        if not ours or image.id in used:
            continue
        tagged = timeutils.parse_isotime(client.images.get(image.id).attrs["Metadata"]["LastTagTime"])
        age = (timeutils.utcnow(with_timezone=True) - tagged).total_seconds()
        if age < CONF.image_cache.remove_unused_original_minimum_age_seconds:
            continue
        for tag in ours:
            LOG.info("Removing unused image %s", tag)
            client.images.remove(tag)
