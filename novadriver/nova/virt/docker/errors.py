"""What the driver refuses or cannot do, as Nova's own exceptions, and Docker's errors turned into them."""

import contextlib

import docker.errors
import requests.exceptions
from nova import exception


class DockerError(exception.NovaException):
    """The Docker daemon refused a request, or failed at it."""

    msg_fmt = "Docker: %(reason)s"


class DockerUnreachable(exception.NovaException):
    """The Docker daemon does not answer; another host may do better."""

    msg_fmt = "The Docker daemon does not answer: %(reason)s"


class NotSupported(exception.InvalidInput):
    """The request needs something that a container does not have."""

    msg_fmt = "The Docker driver does not support this: %(reason)s"


@contextlib.contextmanager
def translated(instance=None):
    """Turn the SDK's errors into Nova's.

    :raises InstanceNotFound: the container is not there (only when ``instance`` is given)
    :raises DockerError: anything else, with the daemon's own sentence
    :raises DockerUnreachable: no answer
    """
    try:
        yield
    except docker.errors.NotFound as error:
        if instance is not None:
            raise exception.InstanceNotFound(instance_id=instance.uuid) from error
        raise DockerError(reason=error.explanation or str(error)) from error
    except docker.errors.APIError as error:
        raise DockerError(reason=error.explanation or str(error)) from error
    except docker.errors.ImageLoadError as error:
        raise DockerError(reason=str(error)) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise DockerUnreachable(reason=str(error)) from error
