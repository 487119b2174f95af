"""A real stack in a folder of its own: uWSGI, supervisord, Daphne and paramedic, and the faults to make there."""
