"""One lab from `up` to `destroy`."""
