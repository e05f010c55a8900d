# After Debian's own snippets, whose numbers are lower: the later file is the one that holds.
import hashlib

ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
SECRET_KEY = "{{ secrets['dashboard'] }}"
WEBROOT = "/"
OPENSTACK_KEYSTONE_URL = "http://{{ host_ip }}:5000/v3"
OPENSTACK_ENDPOINT_TYPE = "internalURL"
OPENSTACK_KEYSTONE_DEFAULT_ROLE = "member"
# Debian's keep sessions in the process, whose end would sign everyone out
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": "127.0.0.1:11211",
    },
}
# a browser takes all ports of 127.0.0.1 for one site: without a name of its own, one lab's sign-in ends another's
SESSION_COOKIE_NAME = "session-" + hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:8]
