"""The only code that touches the operating system: /proc, sockets, files, pidfds, systemd, the clock."""
