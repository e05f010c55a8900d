"""A Docker daemon below the real SDK: its HTTP transport, with states, on answers recorded from a real daemon."""

import copy
import io
import json
import re
import tarfile
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from requests.adapters import BaseAdapter

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())


class Daemon:
    """The daemon's state. ``info`` and ``failures`` may be changed by a test."""

    def __init__(self):
        self.info = copy.deepcopy(RECORDED["info"])
        self.containers, self.images, self.volumes = {}, {}, {}
        self.requests, self.failures = [], {}
        self.next_pid, self.silent = 4000, False

    def answer(self, method, path, query, body):
        for (verb, pattern), (status, content) in self.failures.items():
            if verb == method and re.fullmatch(pattern, path):
                return status, content
        for verb, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if verb == method and match:
                return handler(self, query, body, *map(unquote, match.groups()))
        raise AssertionError(f"the fake daemon has no {method} {path}")

    def find(self, key):
        for container in self.containers.values():
            if key in (container["Id"], container["Name"].lstrip("/")):
                return container
        return None

    def requests_to(self, path):
        """The body of the last request to ``path``."""
        return [body for _, asked, _, body in self.requests if asked == path][-1]

    def declared_volumes(self):
        (image,) = self.images.values()
        return image["Config"]["Volumes"]

    def image(self, key):
        for image in self.images.values():
            if key == image["Id"] or key in image["RepoTags"]:
                return image
        return None


def error(name, **more):
    recorded = RECORDED["errors"][name]
    return recorded["status"], {**recorded["body"], **more}


def with_container(handler):
    def wrapped(daemon, query, body, key):
        container = daemon.find(key)
        if container is None:
            return error("no_container", message=f"No such container: {key}")
        return handler(daemon, container, query, body)

    return wrapped


def create(daemon, query, body):
    name = query["name"][0]
    if daemon.find(name):
        return error("createdup")
    image = daemon.image(body["Image"])
    if image is None:
        return error("no_image", message=f"No such image: {body['Image']}")
    if body["HostConfig"].get("NanoCpus") and not daemon.info["CpuCfsQuota"]:
        return error("createbad")
    made = copy.deepcopy(RECORDED["container"])
    made.update(Id=f"{len(daemon.requests):064x}", Name=f"/{name}", Image=image["Id"])
    made["Config"].update({k: v for k, v in body.items() if k not in ("HostConfig", "NetworkingConfig")})
    made["HostConfig"].update(body["HostConfig"])
    made["State"].update(Running=False, Status="created", Pid=0)
    daemon.containers[made["Id"]] = made
    return 201, {"Id": made["Id"], "Warnings": []}


@with_container
def start(daemon, container, query, body):
    if container["State"]["Running"]:
        return 304, None
    daemon.next_pid += 1
    container["State"].update(Running=True, Status="running", Pid=daemon.next_pid)
    return 204, None


@with_container
def stop(daemon, container, query, body):
    if not container["State"]["Running"]:
        return 304, None
    container["State"].update(Running=False, Paused=False, Status="exited", Pid=0, ExitCode=0)
    return 204, None


@with_container
def pause(daemon, container, query, body):
    if not container["State"]["Running"]:
        return error("pausebad")
    container["State"].update(Paused=True, Status="paused")
    return 204, None


@with_container
def unpause(daemon, container, query, body):
    if not container["State"]["Paused"]:
        return error("unpausebad")
    container["State"].update(Paused=False, Status="running")
    return 204, None


@with_container
def remove(daemon, container, query, body):
    del daemon.containers[container["Id"]]
    return 204, None


@with_container
def update(daemon, container, query, body):
    container["HostConfig"].update(body)
    return 200, RECORDED["errors"]["update"]["body"]


def listed(daemon, query, body):
    wanted = json.loads(query.get("filters", ["{}"])[0]).get("label", [])
    found = []
    for container in daemon.containers.values():
        labels = container["Config"]["Labels"]
        if all(labels.get(label.split("=", 1)[0]) == label.split("=", 1)[1] for label in wanted):
            entry = copy.deepcopy(RECORDED["listed"])
            entry.update(
                Id=container["Id"], Names=[container["Name"]], Labels=labels, ImageID=container["Image"],
                State=container["State"]["Status"],
            )  # fmt: skip
            found.append(entry)
    return 200, found


def load(daemon, query, body):
    """As the daemon reads an archive: of two members the later counts, of two keys too, in any case of letters."""
    daemon.loaded = body.read() if hasattr(body, "read") else b"".join(body)
    with tarfile.open(fileobj=io.BytesIO(daemon.loaded)) as archive:
        text = archive.extractfile("manifest.json").read()
    (manifest,) = json.loads(text, object_pairs_hook=lambda pairs: {key.lower(): value for key, value in pairs})
    image = copy.deepcopy(RECORDED["image"])
    image["RepoTags"] = list(manifest.get("repotags") or [])
    daemon.images[image["Id"]] = image
    return 200, {"stream": f"Loaded image ID: {image['Id']}\n"}


def import_image(daemon, query, body):
    image = copy.deepcopy(RECORDED["image"])
    image["RepoTags"] = [f"{query['repo'][0]}:{query['tag'][0]}"]
    daemon.images[image["Id"]] = image
    return 200, {"status": image["Id"]}


def tag(daemon, query, body, key):
    daemon.image(key)["RepoTags"].append(f"{query['repo'][0]}:{query['tag'][0]}")
    return 201, None


def show_image(daemon, query, body, key):
    image = daemon.image(key)
    return (200, image) if image else error("no_image", message=f"No such image: {key}")


def remove_image(daemon, query, body, key):
    image = daemon.image(key)
    if key in image["RepoTags"]:
        image["RepoTags"].remove(key)
    if not image["RepoTags"]:
        del daemon.images[image["Id"]]
    return 200, [{"Untagged": key}]


def commit(daemon, query, body):
    image = copy.deepcopy(RECORDED["image"])
    image.update(Id="sha256:" + "c" * 64, RepoTags=[query["repo"][0]])
    daemon.images[image["Id"]] = image
    return 201, {"Id": image["Id"]}


def make_volume(daemon, query, body):
    daemon.volumes[body["Name"]] = {"Name": body["Name"], "Labels": body.get("Labels"), "Driver": "local"}
    return 201, daemon.volumes[body["Name"]]


def list_volumes(daemon, query, body):
    wanted = json.loads(query["filters"][0])["label"][0].split("=", 1)
    return 200, {"Volumes": [v for v in daemon.volumes.values() if v["Labels"].get(wanted[0]) == wanted[1]]}


def remove_volume(daemon, query, body, name):
    del daemon.volumes[name]
    return 204, None


ROUTES = [
    ("GET", r"/version", lambda d, q, b: (200, RECORDED["version"])),
    ("GET", r"/info", lambda d, q, b: (200, d.info)),
    ("GET", r"/containers/json", listed),
    ("POST", r"/containers/create", create),
    ("GET", r"/containers/([^/]+)/json", with_container(lambda d, c, q, b: (200, c))),
    ("GET", r"/containers/([^/]+)/logs", with_container(lambda d, c, q, b: (200, b"login: \xff\r\n"))),
    ("POST", r"/containers/([^/]+)/start", start),
    ("POST", r"/containers/([^/]+)/stop", stop),
    ("POST", r"/containers/([^/]+)/pause", pause),
    ("POST", r"/containers/([^/]+)/unpause", unpause),
    ("POST", r"/containers/([^/]+)/update", update),
    ("DELETE", r"/containers/([^/]+)", remove),
    ("POST", r"/commit", commit),
    ("POST", r"/images/load", load),
    ("POST", r"/images/create", import_image),
    ("GET", r"/images/json", lambda d, q, b: (200, list(d.images.values()))),
    ("POST", r"/images/(.+)/tag", tag),
    ("GET", r"/images/(.+)/json", show_image),
    ("GET", r"/images/(.+)/get", lambda d, q, b, key: (200, b"saved")),
    ("DELETE", r"/images/(.+)", remove_image),
    ("POST", r"/volumes/create", make_volume),
    ("GET", r"/volumes", list_volumes),
    ("DELETE", r"/volumes/(.+)", remove_volume),
]


class Transport(BaseAdapter):
    """What the SDK mounts for ``http+docker://``."""

    def __init__(self, daemon):
        super().__init__()
        self.daemon = daemon

    def send(self, request, **kwargs):
        if self.daemon.silent:
            raise requests.exceptions.ConnectionError("no such socket")
        url = urlsplit(request.url)
        path = re.sub(r"^/v1\.\d+", "", url.path)
        query, body = parse_qs(url.query), request.body
        if isinstance(body, (str, bytes)) and body:
            body = json.loads(body)
        self.daemon.requests.append((request.method, path, query, body))
        status, content = self.daemon.answer(request.method, path, query, body)
        data = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, request.url
        response.reason = "as recorded"
        response.raw = Raw(data)
        response.headers["Content-Type"] = "application/json"
        return response

    def close(self):
        """Nothing is open."""


class Raw(io.BytesIO):
    """As much of urllib3's response as the SDK reads."""

    _fp = SimpleNamespace(chunked=False, fp=SimpleNamespace(raw=None))

    def stream(self, size=65536, decode_content=False):
        yield self.read()

    def release_conn(self):
        """Nothing to release."""
