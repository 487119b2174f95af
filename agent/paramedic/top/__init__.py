"""`paramedic top`: one look after the other as rows, as lines, and on a terminal that is alive.

`rows`, `lines` and `keys` are pure; `looks` reads the host and `live` owns the terminal.
"""
