"""YAML -> policies, or every error of every file as `file:line:col: cannot ...: because; what to do`."""
