"""Glance images in the Docker daemon: loaded once, named by Glance id and checksum, removed when unused."""

import contextlib
import os
import tempfile

import docker.errors
from nova import exception, objects
from nova.virt import images as glance
from nova.virt.docker import archives, errors
from nova.virt.docker.conf import CONF
from oslo_concurrency import lockutils
from oslo_log import log as logging
from oslo_utils import timeutils

LOG = logging.getLogger(__name__)

REPOSITORY = "nova-glance"


def name(image_meta):
    """The Docker name of a Glance image."""
    checksum = image_meta.checksum if image_meta.obj_attr_is_set("checksum") else None
    return f"{REPOSITORY}/{image_meta.id}:{(checksum or 'unknown')[:12]}"


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


def cache(client, context, image_id):
    """Load an image before any instance wants it. Returns whether it was not yet there."""
    image_meta = objects.ImageMeta.from_dict(glance.get_info(context, image_id))
    with contextlib.suppress(docker.errors.ImageNotFound):
        client.images.get(name(image_meta))
        return False
    ensure(client, context, image_meta)
    return True


def _fetch(client, context, image_id, reference):
    directory = os.path.join(CONF.instances_path, CONF.image_cache.subdirectory_name)
    os.makedirs(directory, exist_ok=True)
    handle, path = tempfile.mkstemp(prefix=f"{image_id}-", dir=directory)
    os.close(handle)
    try:
        glance.fetch(context, image_id, path)
        with errors.translated():
            if _is_saved(path):
                _load(client, path, reference)
            else:
                repository, tag = reference.split(":")
                client.api.import_image(src=path, repository=repository, tag=tag)
        client.images.get(reference)
    except (archives.Refused, errors.DockerError, docker.errors.ImageNotFound) as error:
        raise exception.ImageUnacceptable(image_id=image_id, reason=str(error)) from error
    finally:
        os.unlink(path)


def _is_saved(path):
    with open(path, "rb") as file:
        return archives.is_saved(file)


def _load(client, path, reference):
    """Load it without its own names: they would let one tenant's upload stand in for another image on this host."""
    with open(path, "rb") as file:
        loaded = client.images.load(archives.rebuilt(file))
    if not loaded:
        raise docker.errors.ImageLoadError("the archive holds no image")
    loaded[0].tag(*reference.split(":"))


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
