"""What strangers can write, mutated: `make fuzz`, and a bounded run of it in `make test`."""
