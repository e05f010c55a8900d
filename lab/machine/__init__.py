"""The machine that OpenStack is put on: one contract, whatever provider runs it."""

import logging

# python-vagrant warns while it is imported where there is no Vagrant yet; `up` installs it and says so itself
logging.getLogger("vagrant").addHandler(logging.NullHandler())
