"""The config drive as a directory: cloud-init reads it from its seed place, no block device needed."""

import os

from nova.api.metadata import base as metadata
from nova.virt import configdrive
from oslo_utils import fileutils

SEED = "/var/lib/cloud/seed/config_drive"
"""Where cloud-init's ConfigDrive source looks first (cloudinit/sources/DataSourceConfigDrive.py, seed_dir)."""


def required_by(instance):
    """Whether Nova's rules (request, image, force_config_drive) ask for a config drive."""
    return bool(configdrive.required_by(instance))


def write(instance, directory, injected_files, admin_password, network_info):
    """Write metadata, user data, network data and injected files below ``directory``."""
    extra = {"admin_pass": admin_password} if admin_password else {}
    data = metadata.InstanceMetadata(instance, content=injected_files, extra_md=extra, network_info=network_info)
    fileutils.ensure_tree(directory, mode=0o700)
    for name, content in data.metadata_for_config_drive():
        path = os.path.join(directory, name)
        fileutils.ensure_tree(os.path.dirname(path), mode=0o700)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
